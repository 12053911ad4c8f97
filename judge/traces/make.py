"""Writes the traces of this folder: `python3 make.py`. The files are committed; the tests read the files, not this script."""

from broken import BROKEN
from builder import HERE, Trace
from good import GOOD

def main():
    for folder, traces in ((HERE, BROKEN), (HERE / "good", GOOD)):
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.jsonl"):
            old.unlink()
        for name, (note, build) in traces.items():
            expect = [name.split("--")[0]] if folder == HERE else []
            trace = Trace(note, expect)
            build(trace)
            trace.write(folder / f"{name}.jsonl")

if __name__ == "__main__":
    main()
