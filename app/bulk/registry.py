"""The kinds of files that institutions may import, by slug."""

from collections.abc import Mapping

from app.bulk import classes, old_contracts, students, teachers
from app.bulk.kinds import AnyKind
from app.errors import NotFound

KINDS: Mapping[str, AnyKind] = {kind.slug: kind for kind in (teachers.KIND, classes.KIND, students.KIND, old_contracts.KIND)}


def kind_of(slug: str) -> AnyKind:
    """The kind of this slug. Raises NotFound("bulk.kind_not_found")."""
    if slug not in KINDS:
        raise NotFound("bulk.kind_not_found", "没有这种导入", field="kind")
    return KINDS[slug]
