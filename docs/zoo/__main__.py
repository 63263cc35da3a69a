"""Generates docs/model_zoo.md and its charts.

    python -m docs.zoo            # as run by `make zoo`
    python -m docs.zoo --recount  # count all networks again, not only new ones

Counting takes about ten seconds per network; writing the page takes no time.
"""

import argparse
import pathlib

from docs.pictures import write_picture
from docs.zoo.charts import CHARTS, FOLDER, chart_data, draw_chart
from docs.zoo.counts import COUNTS, count_missing
from docs.zoo.page import page
from docs.zoo.rows import rows
from efficientvision import files

PAGE = pathlib.Path(__file__).parent.parent / "model_zoo.md"


def main() -> None:
    """Counts new networks, writes the page and draws the charts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recount", action="store_true", help="count all networks again")
    if parser.parse_args().recount:
        COUNTS.unlink(missing_ok=True)
    zoo = rows()
    counts = count_missing(zoo, lambda line: print(line, flush=True))
    files.write_bytes(PAGE, page(zoo, counts).encode())
    for task, chart in CHARTS.items():
        data = chart_data(zoo, counts, task)
        write_picture(FOLDER / chart.file, draw_chart(data, task), data)
    print(f"{PAGE}: {len(zoo)} networks")


if __name__ == "__main__":
    main()
