"""Set the sample up, serve it, and stop all of it in order: database, bank, worker and web as one."""

import asyncio
import json
import signal
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from app import districts
from app.banking.banks import Banks
from app.db import Database
from app.errors import Conflict
from app.sample import ground
from app.sample.ground import CONNECTION, Addresses, refuse_configured_database
from app.sample.installation import SAMPLE_CODE, SAMPLE_NAME, STAFF, Installation
from app.sample.invented import phone
from app.sample.processes import Child, Ended, child, free_port, mock_bank
from app.sample.seed import PARENT, is_seeded, seed, sign_in_phones
from app.sample.stage import Stage
from app.settings import Settings
from bank_adapters.mock_bank.client import MockBank
from bank_adapters.mock_bank.control import MockBankControl

BANK_PORT = 8101


class Sample:
    """One start of the sample: where it listens, and what it says."""

    def __init__(self, installation: Installation, console: Console) -> None:
        self._installation = installation
        self._secrets = installation.secrets
        self._console = console
        configured = Settings()
        self._host = configured.host
        self._port = self._free("服务", configured.port)
        self._bank_port = self._free("模拟银行", BANK_PORT)
        self.base_url = configured.model_copy(update={"port": self._port}).base_url

    async def serve(self, into_database_url: bool) -> None:
        """Everything up, until it is cancelled. Raises Ended where a process ends by itself."""
        async with AsyncExitStack() as stack:
            addresses = await self._addresses(stack, into_database_url)
            bank_child, bank = await stack.enter_async_context(self._bank())
            await self._prepare(addresses, bank)
            environment = self._environment(addresses)
            web = await stack.enter_async_context(self._child("网页服务", "app.main", environment, "web"))
            worker = await stack.enter_async_context(self._child("后台任务", "app.worker", environment, "worker"))
            await web.answers(f"http://{self._local_host}:{self._port}/readyz")
            self._announce(bank)
            await _first_to_end(bank_child, web, worker)

    async def _addresses(self, stack: AsyncExitStack, into_database_url: bool) -> Addresses:
        if into_database_url:
            return ground.configured()
        self._console.print(f"正在启动内置 PostgreSQL（{self._installation.folder / 'pg'}）")
        return await ground.embedded(self._installation, stack.enter_context(self._installation.postgres()))

    async def _prepare(self, addresses: Addresses, bank: MockBankControl) -> None:
        """Bring the sample district to where it can be served: made, migrated, connected, and with its story told."""
        known = SAMPLE_CODE in await ground.bring_up_to_date(addresses)
        await bank.set_clock()
        database = Database(addresses.app)
        try:
            if known and not await is_seeded(database.district(SAMPLE_CODE)):
                await ground.discard(addresses, SAMPLE_CODE)
                known = False
            if known and (await bank.books()).accounts <= 1:
                raise Conflict("sample.bank_lost", "模拟银行的数据（bank.sqlite）不见了：请恢复它，或删除整个数据目录重新开始")
            if not known:
                await bank.reset()
                await districts.create(addresses.owner, SAMPLE_CODE, SAMPLE_NAME, mode="sample")
            # Whoever applies by hand types account numbers of their own.
            await bank.set_walk_in()
            await districts.connect_bank(addresses.owner, CONNECTION, SAMPLE_CODE, "mock", bank.url)
            notice_url = f"http://{self._local_host}:{self._port}/api/v1/settlement/notices/{CONNECTION}"
            await bank.register_client(CONNECTION, self._secrets["api_key"], self._secrets["notice_secret"], notice_url)
            if not known:
                await self._seed(database, bank)
        finally:
            await database.aclose()

    async def _seed(self, database: Database, bank: MockBankControl) -> None:
        self._console.print(f"正在生成示例区县 {SAMPLE_NAME}（{SAMPLE_CODE}）")
        connection = MockBank(bank.url, self._secrets["api_key"], self._secrets["notice_secret"])
        banks = Banks({CONNECTION: (SAMPLE_CODE, connection)})
        await bank.set_notices(enabled=False)
        try:
            await seed(Stage(database.district(SAMPLE_CODE), banks, bank, CONNECTION), self._secrets)
        finally:
            await banks.aclose()
        await bank.set_notices()

    def _environment(self, addresses: Addresses) -> dict[str, str]:
        keys = {"api_key": self._secrets["api_key"], "notice_secret": self._secrets["notice_secret"]}
        return self._installation.environment() | {
            "DATABASE_URL": addresses.app,
            "PORT": str(self._port),
            "ESCROW_BANK_KEYS": json.dumps({CONNECTION: keys}),
            "ESCROW_SMS": "console",
            "ESCROW_SAMPLE_SIGN_IN": json.dumps(dict.fromkeys(sign_in_phones(), self._secrets["sign_in_code"])),
        }

    def _bank(self) -> AbstractAsyncContextManager[tuple[Child, MockBankControl]]:
        public_url = f"http://{urlsplit(self.base_url).hostname}:{self._bank_port}"
        data, log = self._installation.folder / "bank.sqlite", self._installation.log("bank")
        return mock_bank(data, log, self._secrets["control_key"], self._host, self._bank_port, public_url)

    def _child(self, name: str, module: str, environment: dict[str, str], log: str) -> AbstractAsyncContextManager[Child]:
        return child(name, module, environment, self._installation.log(log))

    def _announce(self, bank: MockBankControl) -> None:
        """Say where everything is and how to sign in, to people and to programs."""
        parent = {"phone": phone(PARENT), "code": self._secrets["sign_in_code"]}
        staff = {role: {"username": name, "password": self._secrets[f"{role}_password"]} for role, name in STAFF.items()}
        facts = {"base_url": self.base_url, "bank_url": bank.url, "bank_key": self._secrets["control_key"], "district": SAMPLE_CODE}
        written = self._installation.write_private("demo.json", facts | {"parent": parent, "staff": staff})
        self._console.print(f"示例区县 {SAMPLE_NAME}（{SAMPLE_CODE}）已就绪，其中人物与机构均为虚构：")
        lines = [("家长", "parent", f"手机 {parent['phone']}  验证码 {parent['code']}")]
        for role, title in (("institution", "机构"), ("settlement", "结算"), ("supervision", "监管")):
            lines.append((title, role, f"用户 {staff[role]['username']}  密码 {staff[role]['password']}"))
        for title, path, sign_in in lines:
            self._console.print(f"  {title}  {self.base_url}/{path}  {sign_in}", markup=False)
        self._console.print(f"首页 {self.base_url}/，模拟银行 {bank.url}，登录信息另存于 {written}")
        self._console.print("演示：另开一个终端运行 make demo。按 Ctrl-C 停止。")

    def _free(self, name: str, wanted: int) -> int:
        port = free_port(self._host, wanted)
        if wanted not in (0, port):
            self._console.print(f"{name}的端口 {wanted} 已被占用，改用 {port}")
        return port

    @property
    def _local_host(self) -> str:
        return "127.0.0.1" if self._host in ("0.0.0.0", "::") else self._host  # noqa: S104  # compared, not bound


async def run_sample(folder: Path, into_database_url: bool, console: Console) -> None:
    """Serve the sample until Ctrl-C, SIGTERM or SIGHUP, then stop all of it in order.

    Raises Ended where one of its processes ends by itself, Conflict `sample.database_url`, `sample.running`, `districts.mixed_modes`.
    """
    if not into_database_url:
        refuse_configured_database()
    installation = Installation(folder)
    installation.adopt()
    _cancelled_by_signals()
    try:
        with installation.locked():
            await Sample(installation, console).serve(into_database_url)
    except asyncio.CancelledError:
        console.print("示例已停止。")


def _cancelled_by_signals() -> None:
    """The first signal ends this task in an orderly way, and no further one may disturb that."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop() -> None:
        for number in numbers:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, stop)


async def _first_to_end(*children: Child) -> None:
    """Wait until one of the processes ends, which none should. Raises Ended."""
    waiting = [asyncio.create_task(each.ended()) for each in children]
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        raise Ended(done.pop().result())
    finally:
        for each in waiting:
            each.cancel()
