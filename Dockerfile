FROM python:3.11-slim AS packages
COPY requirements.lock .
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements.lock

FROM python:3.11-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 PORT=8000
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends fonts-noto-cjk \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --user-group --home-dir /srv --shell /usr/sbin/nologin escrow \
    && install --directory --owner escrow --group escrow --mode 0700 /srv/.data
WORKDIR /srv
COPY --from=packages /opt/venv /opt/venv
COPY bank_adapters bank_adapters
COPY migrations migrations
COPY app app
USER escrow
EXPOSE 8000
CMD ["python", "-m", "app.main"]
