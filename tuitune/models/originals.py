"""The weights that a quantised model was made from, one layer at a time out of its safetensors files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from tuitune.errors import ModelError
from tuitune.fit.safetensors import read_safetensors, weight_files

if TYPE_CHECKING:
    from torch import Tensor


class Originals:
    """Reads what `model` was loaded from; a model whose files have other names than its layers is loaded whole."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._folder = Path(model.name_or_path)
        files = weight_files(self._folder)
        if files is None:
            raise ModelError(
                f"the weights before quantisation are not in {self._folder}", "they are needed to begin the adapter"
            )
        self._file_of = {name: file for file in files for name in read_safetensors(file)}
        self._whole: dict[str, Tensor] | None = None

    def weight(self, name: str, layer: Any) -> Tensor:
        """Return the weight of the quantised `layer` called `name`, (outputs, inputs), on the layer's device.

        Raises ModelError where the file has none that fits.
        """
        weight = self._stored(name)
        if getattr(layer.source_cls, "__name__", "") == "Conv1D":
            weight = weight.T
        if tuple(weight.shape) != (layer.out_features, layer.in_features):
            raise ModelError(
                f"{name} is not as large as in {self._folder}", "the model was changed after it was loaded"
            )
        return weight.to(device=layer.weight.device, dtype=self._model.dtype).contiguous()

    def _stored(self, name: str) -> Tensor:
        # A checkpoint of a model without its head leaves the first part of the names out.
        prefix = f"{self._model.base_model_prefix}."
        for key in (f"{name}.weight", f"{name}.weight".removeprefix(prefix)):
            if key in self._file_of:
                with safe_open(self._file_of[key], "pt") as file:
                    tensor: Tensor = file.get_tensor(key)
                return tensor
        return self._loaded()[f"{name}.weight"]

    def _loaded(self) -> dict[str, Tensor]:
        if self._whole is None:
            plain = type(self._model).from_pretrained(
                str(self._folder), dtype=torch.float32, use_safetensors=True, local_files_only=True
            )
            self._whole = dict(plain.state_dict())
        return self._whole
