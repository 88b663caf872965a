"""`decisions`: what people decided in Security Hub. Slow libraries are imported inside."""

from __future__ import annotations

import sys

from ecs_exposure.options import DayOption, FormatOption, LakeOption
from ecs_exposure.output import Format, print_rows
from ecs_exposure.terminal import clear_errors, day_of, open_lake, say, settings_with


def decisions(day: DayOption = None, lake: LakeOption = None, form: FormatOption = Format.table) -> None:
    """List findings that people suppressed in Security Hub, or gave another severity, as last read back.

    Suppressed ones come first, the worst on top: someone closed their eyes to them, perhaps without anyone accepting
    the risk. Each account is read back once a week; `ecs-exposure publish --reconcile` reads all now.
    """
    with clear_errors():
        from ecs_exposure import decisions as told
        from ecs_exposure.history import assessed_day

        requested = day_of(day)
        with open_lake(settings_with(lake)) as opened:
            rows = told.decisions(opened, assessed_day(opened, requested))
        if not rows and form is Format.table:
            say("Nobody suppressed a finding or overrode a severity, as far as Security Hub was read back.")
            return
        print_rows(told.COLUMNS, [[row[name] for name in told.COLUMNS] for row in rows], form, sys.stdout)
