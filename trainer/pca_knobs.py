"""The knobs of windowed PCA."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from trainer.knobs import LISTED, Config, Member

PcaMember = Literal["pca", "raw"]


class PcaConfig(Config):
    """Windowed PCA: no network, and its own reconstruction decides and ranks."""

    own: ClassVar[Member] = "pca"
    model: Literal["pca"] = "pca"
    members: Annotated[tuple[PcaMember, ...], *LISTED] = ("pca",)
    deciding: Annotated[tuple[PcaMember, ...], *LISTED] = ("pca",)
    ranking: Annotated[tuple[PcaMember, ...], *LISTED] = ("pca",)
    window_length: int = Field(default=5, ge=1, le=10, description="points that are flattened")
    variance: float = Field(
        default=0.9, gt=0, lt=1, description="share that the components explain"
    )
    pca_components: PositiveInt | None = Field(default=None, description="None: by the variance")
    epochs: Literal[0] = 0
