"""mlflow.pyfunc answers the golden rows of a pack as frames of several kinds.

Usage: mlflow_client.py PACK     prints JSON as its last line
"""

import json
import sys
from pathlib import Path

import mlflow
import pandas as pd


def main():
    folder = Path(sys.argv[1])
    columns = json.loads((folder / "data/columns.json").read_text(encoding="utf-8"))
    request = json.loads((folder / "golden/request.json").read_text(encoding="utf-8"))
    table = request["dataframe_split"]
    frame = pd.DataFrame(table["data"], columns=table["columns"])
    model = mlflow.pyfunc.load_model(str(folder))
    numeric, categorical = columns["numeric"], columns["categorical"]
    number = next(name for name in numeric if name not in columns["kinds"])
    dates = [name for name in numeric if columns["kinds"].get(name) == "date"]

    def ask(asked):
        return json.loads(model.predict(asked).to_json(orient="records", double_precision=15))

    def fail(**cells):
        try:
            model.predict(frame.astype(object).head(2).assign(**cells))
        except Exception as error:
            return str(error)
        return ""

    some = frame.head(4)
    moments = some.assign(**{n: pd.to_datetime(["2026-01-31"] * 3 + [None]) for n in dates})
    days = some.assign(**{n: [20484.0] * 3 + [None] for n in dates})
    said = {
        "inputs": model.metadata.get_input_schema().input_names(),
        "outputs": model.metadata.get_output_schema().input_names(),
        "example_columns": list(model.input_example.columns),
        "golden": ask(frame),
        "reversed": ask(frame[frame.columns[::-1]]),
        "categories": ask(frame.astype(dict.fromkeys(categorical, "category"))),
        "whole": ask(some.assign(**{number: [1, 2, 3, 4]})),
        "whole_as_floats": ask(some.assign(**{number: [1.0, 2.0, 3.0, 4.0]})),
        "dates": ask(moments),
        "dates_as_days": ask(days),
        "errors": {name: fail(**{name: ["many", "more"]}) for name in [number]}
        | {name: fail(**{name: [1, 2]}) for name in categorical[:1]},
        "onnx_inputs": [value.name for value in mlflow.onnx.load_model(str(folder)).graph.input],
    }
    print(json.dumps(said))


main()
