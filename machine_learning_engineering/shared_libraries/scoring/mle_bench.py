"""The submission contracts of the 22 competitions of MLE-bench Lite, one row each, read from its graders.

Source: openai/mle-bench, `mlebench/competitions/*/grade.py`. Where a grader is looser than its competition
(it never compares the ids of `new-york-city-taxi-fare-prediction`, takes the rows of `nomad2018` as they come, and
ignores further columns in most others), the contract is strict: a submission that keeps it is valid there, and means
what it says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from machine_learning_engineering.shared_libraries.errors import SubmissionError
from machine_learning_engineering.shared_libraries.records import Predicts
from machine_learning_engineering.shared_libraries.scoring.submission import Expected


@dataclass(frozen=True)
class Contract:
    """What one competition's grader takes, and the metric that it computes.

    `values` are the columns to predict; where there are `count` of them instead, the sample submission names them.
    `apart` says that probabilities are of questions of their own. A metric of several columns is the mean of theirs.
    """

    competition: str
    metric: str
    id: str
    values: tuple[str, ...] = ()
    count: int = 0
    predicts: Predicts = "probability"
    classes: tuple[str, ...] = ()
    apart: bool = False
    least: float | None = None

    def expected(self, ids: Sequence[str], columns: Sequence[str] = ()) -> Expected:
        """What a submission for rows of these ids must hold; `columns` are those of the sample submission.

        Raises: SubmissionError where the sample is needed and has not the right number of columns.
        """
        values = self.values or tuple(column for column in columns if column != self.id)
        if len(values) != (self.count or len(self.values)):
            raise SubmissionError(
                f"the sample submission of {self.competition} has {len(values)} columns to predict, not {self.count}; "
                "take it from the prepared data."
            )
        return Expected(
            rows=len(ids),
            values=values,
            predicts=self.predicts,
            id=self.id,
            ids=tuple(ids),
            classes=self.classes,
            apart=self.apart,
            least=self.least,
        )


_TOXIC = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
_LINES = (
    "ETT - Abnormal", "ETT - Borderline", "ETT - Normal", "NGT - Abnormal", "NGT - Borderline",
    "NGT - Incompletely Imaged", "NGT - Normal", "CVC - Abnormal", "CVC - Borderline", "CVC - Normal",
    "Swan Ganz Catheter Present",
)  # fmt: skip
_LEAVES = ("healthy", "multiple_diseases", "rust", "scab")
_ENERGIES = ("formation_energy_ev_natom", "bandgap_energy_ev")
_GRADES = ("0", "1", "2", "3", "4")
_COVERS = ("1", "2", "3", "4", "5", "6", "7")

LITE: tuple[Contract, ...] = (
    Contract("aerial-cactus-identification", "auc", "id", ("has_cactus",)),
    Contract("aptos2019-blindness-detection", "qwk", "id_code", ("diagnosis",), predicts="label", classes=_GRADES),
    Contract("denoising-dirty-documents", "rmse", "id", ("value",), predicts="value"),
    Contract("detecting-insults-in-social-commentary", "auc", "Comment", ("Insult",)),
    Contract("dog-breed-identification", "log_loss", "id", count=120),
    Contract("dogs-vs-cats-redux-kernels-edition", "log_loss", "id", ("label",)),
    Contract("histopathologic-cancer-detection", "auc", "id", ("label",)),
    Contract("jigsaw-toxic-comment-classification-challenge", "auc", "id", _TOXIC, apart=True),
    Contract("leaf-classification", "log_loss", "id", count=99),
    Contract("mlsp-2013-birds", "auc", "Id", ("Probability",)),
    Contract("new-york-city-taxi-fare-prediction", "rmse", "key", ("fare_amount",), predicts="value"),
    Contract("nomad2018-predict-transparent-conductors", "rmsle", "id", _ENERGIES, predicts="value", least=0.0),
    Contract("plant-pathology-2020-fgvc7", "auc", "image_id", _LEAVES, apart=True),
    Contract("random-acts-of-pizza", "auc", "request_id", ("requester_received_pizza",)),
    Contract("ranzcr-clip-catheter-line-classification", "auc", "StudyInstanceUID", _LINES, apart=True),
    Contract("siim-isic-melanoma-classification", "auc", "image_name", ("target",)),
    Contract("spooky-author-identification", "log_loss", "id", ("EAP", "HPL", "MWS")),
    Contract(
        "tabular-playground-series-dec-2021", "accuracy", "Id", ("Cover_Type",), predicts="label", classes=_COVERS
    ),
    Contract("tabular-playground-series-may-2022", "auc", "id", ("target",)),
    Contract("text-normalization-challenge-english-language", "exact_match", "id", ("after",), predicts="text"),
    Contract("text-normalization-challenge-russian-language", "exact_match", "id", ("after",), predicts="text"),
    Contract("the-icml-2013-whale-challenge-right-whale-redux", "auc", "clip", ("probability",)),
)
