"""How a task's output reaches whoever runs `make scan`: lines that begin with MARK are shown while the DAG works."""

MARK = "» "


def say(text: str) -> None:
    print(MARK + text, flush=True)
