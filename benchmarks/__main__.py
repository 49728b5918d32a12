"""`python -m benchmarks NAME [--quick] [options]`: a table for people, and one JSON object as the last line."""

import argparse
import importlib
import json
import sys

BENCHMARKS = {
    "offline": "the offline model on tasks with known truth, against default LightGBM and the trivial baseline",
    "pipeline": "our own cost: a default run with a scripted model at 0 s and 2 s a call, against its critical path",
    "coverage": "whether the audit interval holds the true score as often as it says, on tasks with known truth",
    "blend": "what the free ensemble is worth: the blend of cheap scripts against the best of them, by true score",
    "sealed": "what sealed scores are worth: the script they choose against the one that scripts' own figures choose",
    "selection": "what the rule of adoption costs and gains: true gain, false adoptions, optimism, by its strictness",
    "backends": "a whole default run of the offline model, warm against a fresh interpreter for each script",
    "start": "seconds until a script's first line, in a warm fork against a fresh interpreter, with every layer on",
    "scheduler": "1,000 trivial jobs through one and two slots; two cross-validations at once against one by one",
    "soak": "memory and file descriptors over 10,000 jobs; how far jobs that run too long overrun",
    "chaos": "fork servers killed at random moments: every job ends in exactly one result, no process is left",
}


def main() -> None:
    if "--list" in sys.argv[1:2] or len(sys.argv) < 2:
        for name, what in BENCHMARKS.items():
            print(f"{name:10} {what}")
        return
    name = sys.argv[1]
    if name not in BENCHMARKS:
        sys.exit(f"there is no benchmark {name!r}; choose one of: {', '.join(BENCHMARKS)}")
    module = importlib.import_module(f"benchmarks.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=BENCHMARKS[name])
    parser.add_argument("--quick", action="store_true", help="a smaller measurement, for a first look")
    module.add_options(parser)
    print(json.dumps(module.measure(parser.parse_args(sys.argv[2:])), sort_keys=True))


if __name__ == "__main__":
    main()
