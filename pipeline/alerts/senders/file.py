"""JSON lines in a file: a message whose key is there already is not written again."""

import json
import os
from pathlib import Path

from pipeline.alerts.senders.message import Failed, Message


class FileSender:
    """Appends one line for each message, and has it on the disk before it returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, message: Message) -> None:
        """Append the message unless its key is there."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                file.seek(0)
                written = file.read()
                # A process killed while it wrote leaves half a line.
                whole = written.rfind(b"\n") + 1
                if whole < len(written):
                    file.truncate(whole)
                if f'"key": "{message.key}"'.encode() in written[:whole]:
                    return
                line = json.dumps(message.to_dict(), sort_keys=True)
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Failed(
                f"{self.path} cannot be written: {error.strerror}", is_final=True
            ) from error
