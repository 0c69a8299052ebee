"""
Parses argument vectors by bq's own flags, and runs nothing. Reads a JSON array of arrays from the standard input; prints, for each,
null or what is wrong with it. BQ_FOLDER says where bq is.
"""
import json
import os
import sys

folder = os.environ["BQ_FOLDER"]
sys.path[:0] = [folder, os.path.join(folder, "third_party")]

import bq  # noqa: E402  It is found by the line above.
from absl import flags  # noqa: E402
from pyglib import appcommands  # noqa: E402

flags.FLAGS(["bq"])
bq.main([])


def fault(argv):
    # Global flags stand in front of the command, and its own ones behind it.
    at = next((index for index, arg in enumerate(argv) if not arg.startswith("--")), len(argv))
    name = argv[at] if at < len(argv) else ""
    if name not in appcommands.GetCommandList():
        return f"there is no command {name}"
    own = appcommands.GetCommandByName(name)._command_flags
    values = flags.FLAGS
    values.append_flag_values(own)
    try:
        values.set_gnu_getopt(True)
        values(["bq", *argv[:at], *argv[at + 1 :]])
    except flags.Error as error:
        return f"{type(error).__name__}: {error}"
    finally:
        values.remove_flag_values(own)
    return None


json.dump([fault(argv) for argv in json.load(sys.stdin)], sys.stdout)
