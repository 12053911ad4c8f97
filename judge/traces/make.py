"""Writes the traces of this folder: `python3 make.py`. The files are committed; the tests read the files, not this script."""

from broken import BROKEN
from broken_client import CLIENT, Run
from builder import HERE, Trace
from good import GOOD

def main():
    for folder, traces, kind in ((HERE, BROKEN, Trace), (HERE / "good", GOOD, Trace), (HERE / "client", CLIENT, Run)):
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.jsonl"):
            old.unlink()
        for name, (note, build) in traces.items():
            expect = [] if folder.name == "good" else [name.split("--")[0]]
            trace = kind(note, expect)
            build(trace)
            trace.write(folder / f"{name}.jsonl")

if __name__ == "__main__":
    main()
