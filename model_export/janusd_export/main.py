"""janus-export: from face photographs to a measured int8 encoder."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from types import ModuleType

from janusd import streams
from janusd.errors import JanusError
from janusd_export.errors import ExportError
from janusd_export.verbs import (
    attack_eval,
    calibrate,
    card,
    cluster,
    compare,
    compile,  # noqa: A004  # the verb is called so
    detector,
    edgetpu,
    evaluate,
    hints,
    identify,
    import_,
    keygen,
    mix,
    nods,
    pace,
    pairs,
    passive,
    patch_eval,
    release,
    report,
    screen,
    synthesize,
    teach,
    train,
)

_VERBS: tuple[ModuleType, ...] = (
    synthesize,
    import_,
    teach,
    hints,
    mix,
    screen,
    pairs,
    train,
    compare,
    compile,
    edgetpu,
    pace,
    calibrate,
    evaluate,
    identify,
    attack_eval,
    patch_eval,
    nods,
    card,
    report,
    keygen,
    release,
    cluster,
    detector,
    passive,
)
"""In the order in which they are used."""

_EPILOG = """\
the road of a model, each step kept on disk and resumed where it stopped:

  janus-export synthesize --count 20000 --generator WHEEL --out FACES
  janus-export import    PHOTOS FACES --cache CACHE
  janus-export teach     --teachers TEACHERS --cache CACHE
  janus-export screen    --cache CACHE --against LFW --teachers TEACHERS
  janus-export train     RECIPE.toml --cache CACHE --run-dir RUN
  janus-export compile   RECIPE.toml --cache CACHE --run-dir RUN --models OUT
  janus-export calibrate RECIPE.toml --cache CACHE --models OUT
  janus-export evaluate  --lfw LFW --models OUT --out EVALUATION.json
  janus-export identify  --lfw LFW --models OUT --json > IDENTIFIED.json
  janus-export card      OUT EVALUATION.json IDENTIFIED.json
  janus-export report    RUN OUT --out OUT/report.html
  janus-export release   OUT --key KEYFILE --out MODEL.janus

synthesize, teach, hints, mix, train, compare, compile, pace and patch-eval need the `export` extra (torch and
friends: make setup-export), and so do train and compile of detector and passive, detector evaluate, and the
options --teachers, --generator, --map and --float RUN. The others run where the daemon runs. Everything
measured goes through the daemon's own pipeline and the int8 file.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code."""
    streams.fill()
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (ExportError, JanusError) as error:
        print(f"janus-export: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"janus-export: {error.name} is not installed: run make setup-export", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has seen enough
        sys.stdout = None  # type: ignore[assignment]  # or its flush at exit complains again
        return 1
    except OSError as error:
        if error.errno == errno.ENOSPC:
            remedy = "make room and run it again; what was finished is kept"
        else:
            remedy = "look at the path and who may read or write there"
        where = f"{error.filename}: " if error.filename else ""
        print(f"janus-export: {where}{error.strerror or error}: {remedy}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("janus-export: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="janus-export",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for verb in _VERBS:
        name = verb.__name__.rpartition(".")[2].rstrip("_").replace("_", "-")  # import_: Python has that word
        what = verb.WHAT
        made = verbs.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}. {verb.MORE}")
        verb.arguments(made)
        made.set_defaults(run=verb.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
