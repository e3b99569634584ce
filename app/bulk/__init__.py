"""Bulk in and out: registers filled from spreadsheets, and written to them.

A file is uploaded, checked, confirmed and imported. Uploading reads it in a process of its own (`reading`), matches its headings with
the kind's columns and keeps its rows sealed; the worker checks them (`steps`), a person confirms, the worker enters all of them in one
transaction.

**A further kind of file is one module** beside `teachers`, `classes` and `students` that makes a `kinds.Kind`, named in `registry.KINDS`:

    KIND = Kind(
        slug="teachers", name_zh="教师", note_zh="…", columns=(Column("name", "姓名", "李明", "…"), …),
        draft=draft,    # (Line) -> D: one row, by pure rules; raises a DomainError whose fact `field` names a column
        plan=plan,      # async (session, importer, rows: Sequence[Row[D]], report) -> P: everything that needs the register or the other
                        # rows; reads only; `report.refuse(row.line, error)` for each bad cell, `await report.step()` for every row
        enter=enter,    # async (session, importer, plan: P, report) -> None: stores the plan of a file without any bad row, set-based
    )

`plan` runs twice: for the dry run, and again under the institution's lock just before `enter`, in the transaction that the engine commits
with the upload's end. A plan says how many rows stand in the register already (`known_count`), and never of families with whom the
institution has no contract. Messages never repeat what a cell holds.
"""
