"""What the calls of a script do with rows and labels, and which of them leak."""

import ast
import re

from machine_learning_engineering.shared_libraries.scoring.leak_flow import Call, Flow
from machine_learning_engineering.shared_libraries.scoring.leak_values import (
    CODES,
    ESTIMATOR,
    GROUPED,
    ID,
    INDEX,
    NOTHING,
    PART,
    PREDICTED,
    SELECTS,
    STATISTIC,
    TARGET,
    TEST,
    TRAIN,
    Value,
    learned_at,
    line_of,
    union,
)

_READERS = frozenset({"read_csv", "read_table", "read_json", "read_parquet", "open", "loadtxt", "genfromtxt"})
_FITS = frozenset({"fit", "fit_transform", "partial_fit", "fit_predict", "fit_resample", "train_on_batch"})
_DATA_SETS = frozenset({"Dataset", "DMatrix", "Pool"})  # of LightGBM, XGBoost, CatBoost: what they learn from
_SPLITTERS = frozenset({"cross_val_score", "cross_val_predict", "cross_validate", "learning_curve"})
_PREDICTIONS = frozenset({"predict", "predict_proba", "decision_function", "predict_log_proba"})
_STATISTICS = frozenset(
    {"mean", "median", "std", "var", "quantile", "mode", "nanmean", "nanmedian", "nanstd", "describe"}
)  # fmt: skip
_OF_GROUPS = _STATISTICS | {"agg", "aggregate", "transform", "sum", "max", "min", "cumsum", "rank"}
_CODERS = frozenset(
    {"LabelEncoder", "OrdinalEncoder", "OneHotEncoder", "LabelBinarizer", "MultiLabelBinarizer", "FunctionTransformer"}
)  # fmt: skip
_CHOOSERS = frozenset({"ColumnTransformer", "make_column_transformer", "DataFrameMapper", "TableVectorizer"})
_PLAIN = frozenset({"len", "print", "isinstance", "range", "hasattr", "id", "type", "nunique"})
_MASKS = frozenset({"isna", "isnull", "notna", "notnull", "isin", "duplicated", "between"})
_JOINS = frozenset({"merge", "join"})


class LeakReader(Flow):
    """Knows what the calls of pandas, sklearn and their kin do with rows and labels, and which of them leak."""

    def known(self, call: Call) -> Value:
        """What a call of a library returns; of an unknown one, whatever went into it."""
        name, owner, first = call.name, call.owner, call.get(0, "X", "data")
        if name in _READERS:
            return self._file(call)
        if name in _PLAIN:
            return NOTHING
        if name in _MASKS:
            return call.all.minus(TARGET).plus(INDEX)
        if name in _FITS or name in _DATA_SETS:
            return self._fit(call)
        if name in _PREDICTIONS:
            return Value(first.rows | owner.learned if first.is_undivided else first.rows).plus(PREDICTED)
        if name == "train_test_split":
            self._split(call, call.args)
            return Value(call.all.tags, (), tuple(one.plus(PART) for one in call.args for _ in "ab"))
        if name == "split" and call.args and first.has(TRAIN):
            self._split(call, call.args[:1])
            return Value(frozenset({INDEX}))
        if name in _SPLITTERS:
            self._split(call, call.args[1:2])
        if name in ("permutation", "argsort", "choice", "arange", "sample_indices", "flatnonzero", "nonzero"):
            return Value(frozenset({INDEX}))
        if name in ("drop", "pop", "filter", "select_dtypes"):
            return self._dropped(call)
        if name in _OF_GROUPS and (value := self._statistic(call)) is not None:
            return value
        return self._joined(call) if owner.tags else self._made(call)

    def _file(self, call: Call) -> Value:
        path = " ".join(call.all.texts).lower()
        is_test, is_train = (bool(re.search(rf"{word}[\w.]*$|{word}[\w]*\.", path)) for word in ("test", "train"))
        if is_train and not is_test:
            return Value(frozenset({TRAIN})).holding({self.target})
        return Value(frozenset({TEST})) if is_test and not is_train else NOTHING

    def _fit(self, call: Call) -> Value:
        rows, labels = call.get(0, "X", "data"), call.get(1, "y", "label")
        model = call.owner if call.name in _FITS else Value(frozenset({ESTIMATOR}))
        if rows.has(TEST) and not rows.has(PREDICTED):
            self.note("fit_on_test", call.node)
        takes_all = model.has(ESTIMATOR) and not model.has(SELECTS) and call.name != "fit_resample"
        if rows.held and takes_all and (labels.has(TARGET) or call.name not in _DATA_SETS):
            self.note("target_feature", call.node, ", ".join(sorted(rows.held)))
        learned = set[str]()
        if rows.is_undivided and not rows.has(TARGET) and not model.has(CODES) and call.name in _FITS:
            learned = {learned_at(call.node.lineno)}
            self.nodes[call.node.lineno] = call.node
        root = call.node.func.value if isinstance(call.node.func, ast.Attribute) else None
        if isinstance(root, ast.Name) and learned:
            self.names[root.id] = model.plus(*learned)
        if call.name == "fit":
            return model.plus(*learned)
        return rows.plus(*learned) if call.name in ("fit_transform", "fit_resample") else Value(rows.rows)

    def _split(self, call: Call, data: tuple[Value, ...]) -> None:
        """All training rows are divided here: what was learned from them before knows the validation part."""
        for learned in (one for value in data if not value.has(TARGET) for one in value.learned):
            if line_of(learned) in self.nodes:
                self.note("learned_before_split", self.nodes[line_of(learned)], str(call.node.lineno))

    def _dropped(self, call: Call) -> Value:
        table, columns = call.owner, call.get(0, "columns", "labels")
        if "columns" in call.named:
            columns = call.named["columns"]
        if call.name == "pop":
            popped = self.column(table, columns.texts)
            assert isinstance(call.node.func, ast.Attribute)
            self.drop_from(call.node.func.value, columns.texts)
            return popped
        if call.name == "drop" and columns.texts:
            return table.holding(table.held - set(columns.texts))
        return table.holding(())

    def _statistic(self, call: Call) -> Value | None:
        """Means and their like; None for a call that is none, such as the `transform` of an estimator."""
        values = call.owner if call.owner.tags else call.get(0)
        grouped = values.has(GROUPED)
        if values.has(ESTIMATOR) or (call.name not in _STATISTICS and not grouped) or call.says("axis", 1):
            return None
        told = Value(values.tags - {PREDICTED} if not values.has(PREDICTED) else frozenset()).plus(STATISTIC)
        about = values.has(TARGET) or values.held & set(call.all.texts)
        if grouped and about and values.is_undivided:
            self.nodes[call.node.lineno] = call.node
            told = told.plus(learned_at(call.node.lineno), TARGET)
        return told.holding(()).minus(GROUPED)

    def _joined(self, call: Call) -> Value:
        """What a method of a table makes of it and of its arguments."""
        owner, other = call.owner, call.get(0, "right", "arg", "value")
        name = call.name
        if name == "fillna" and call.all.has(STATISTIC) and other.has(STATISTIC, TEST):
            self.note("fit_on_test", call.node)
        if name in ("map", "replace"):
            self.look_up(call.node, other, owner)
        elif name in ("get", "reindex"):
            self.look_up(call.node, owner, call.get(0, "index"))
        elif name in _JOINS:
            return self._merged(call, owner, other)
        if name in ("map", "fillna", "replace", "apply", "astype", "where", "mask", "clip"):
            return owner | Value(other.learned)
        if name == "groupby":
            return owner.plus(GROUPED)
        if name == "transform" or name == "inverse_transform":
            return other | Value(owner.learned if other.is_undivided else frozenset())
        if name == "assign":
            made = {column for column, value in call.named.items() if value.has(TARGET)}
            return (owner | Value(union(call.named.values()).learned)).holding(owner.held | made)
        if name in ("sample", "head", "tail", "query", "nlargest", "nsmallest"):
            return owner.plus(PART)
        if name in ("copy", "reset_index", "to_numpy", "dropna", "sort_values", "tolist", "rename", "set_index"):
            return owner
        return self._made(call)

    def _merged(self, call: Call, left: Value, right: Value) -> Value:
        keys = {text for name in ("on", "left_on", "right_on") if name in call.named for text in call.named[name].texts}
        if self.id in keys or (call.name == "join" and left.has(ID)):
            for rows, labels in ((left, right), (right, left)):
                labelled = labels.has(TRAIN) and (labels.held or labels.has(TARGET))
                if labelled and rows.has(TEST) and not rows.has(TRAIN):
                    self.note("id_join", call.node)
        held = left.held | (right.held if right.has(TRAIN) else frozenset())
        return (left | Value(right.learned | right.tags & {PREDICTED})).holding(held)

    def _made(self, call: Call) -> Value:
        """What a function or a class makes of its arguments: an estimator where its name begins with a capital."""
        if call.name == "merge" and len(call.args) > 1:
            return self._merged(call, call.args[0], call.args[1])
        if call.name == "clone":
            return Value(call.all.tags - call.all.learned)
        made = call.all
        if call.name in self.classes:
            return Value(made.tags, made.texts)
        if call.name[:1].isupper() or call.name.startswith("make_"):
            made = made.plus(ESTIMATOR)
            if call.name in _CODERS:
                made = made.plus(CODES)
            if call.name in _CHOOSERS:
                made = made.plus(SELECTS)
        elif made.has(CODES) and call.name not in ("list", "tuple"):
            made = made.minus(CODES)
        return Value(made.tags, made.texts)
