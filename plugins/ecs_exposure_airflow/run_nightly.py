"""`make scan`: run the DAG `exposure_nightly` once, for real, and print what was found.

Without ECS_EXPOSURE_ORGANIZATION_ACCOUNT_ID the organisation is examples/sample_org, served by the embedded AWS; each
run is its next night. With it, the organisation is a real one, and the day is today (UTC). Airflow's home, the sample's
lake and the embedded Security Hub's state lie under .state/ in the checkout; no process is left behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ecs_exposure.settings import Settings, SettingsError, load

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".state"


def main() -> int:
    """Exit code of the scan: 0 when the DAG run succeeded, 1 when it failed, 2 for wrong settings."""
    try:
        settings = load()
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    STATE.mkdir(exist_ok=True)
    with ExitStack() as stack:
        # Variables of the user's own Airflow must not lead this one to their database.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        environment = inherited | _airflow_environment()
        if settings.organization_account_id:
            day = datetime.now(UTC).date()
            print(
                f"Scanning organisation {settings.organization_account_id} as of {day} (publish: {settings.publish})",
                flush=True,
            )
        else:
            from embedded_aws import EmbeddedAws
            from embedded_aws.organization import sample_settings

            sample = ROOT / "examples" / "sample_org"
            environment |= sample_settings(sample) | {"ECS_EXPOSURE_LAKE": str(STATE / "lake")}
            day, night = _next_night(Settings(lake=str(STATE / "lake")), sample)
            aws = stack.enter_context(EmbeddedAws(sample, night=night, state=STATE / "aws"))
            environment |= aws.environ()
            print(
                f"Scanning examples/sample_org, night {night} ({day}), on the embedded AWS at {aws.endpoint_url}",
                flush=True,
            )
        code = _run_dag(environment, day)
        if code == 0:
            code = subprocess.run(
                [sys.executable, "-m", "ecs_exposure.cli", "summary"], env=environment, cwd=ROOT, check=False
            ).returncode
    return code


def _airflow_environment() -> dict[str, str]:
    home = STATE / "airflow"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "GX_ANALYTICS_ENABLED": "false",
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("plugins", "examples")),
        "PYTHONUNBUFFERED": "1",
    }


def _next_night(settings: Settings, sample: Path) -> tuple[date, int]:
    from ecs_exposure.lake import Lake
    from embedded_aws.organization import first_night

    first = first_night(sample)
    with Lake.open(settings.lake, create=True) as lake:
        last = max(lake.days(), default=None)
    day = last + timedelta(days=1) if last else first
    return day, (day - first).days + 1


def _run_dag(environment: dict[str, str], day: date) -> int:
    """Run the DAG in one process, showing the lines its stages say; everything else goes to a log that a failure points
    to.
    """
    from ecs_exposure_airflow.progress import MARK

    log = STATE / f"scan-{day}.log"
    airflow = [sys.executable, "-m", "airflow"]
    with open(log, "w", encoding="utf-8") as output:
        if not (STATE / "airflow" / "airflow.db").exists():
            print(MARK + "preparing Airflow", flush=True)
        migrated = subprocess.run(
            [*airflow, "db", "migrate"], env=environment, cwd=ROOT, stdout=output, stderr=output, check=False
        )
        if migrated.returncode:
            print(f"Airflow's database could not be prepared; see {log}", file=sys.stderr)
            return 1
        command = [*airflow, "dags", "test", "exposure_nightly", "--conf", json.dumps({"snapshot_date": str(day)})]
        with subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    output.write(line)
                    if MARK in line:
                        print(MARK + line.partition(MARK)[2].rstrip(), flush=True)
            except KeyboardInterrupt:
                process.terminate()
                raise
    if process.returncode:
        print(
            f"The scan of {day} failed; the log is {log} and docs/operate.md says what each stage's failure means",
            file=sys.stderr,
        )
    return 1 if process.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
