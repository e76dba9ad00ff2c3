"""The attention function of our flat forward, registered with transformers under the name `tuitune`.

With a layout (a keyword that the flat forward passes down) sequences are computed one by one, or by one variable-
length kernel on CUDA, and never see each other. Without a layout (generation, plain evaluation) it is transformers'
own SDPA path, so the same model object trains and chats.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tuitune.models import shifted

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tuitune.models.flat import Layout, Span

NAME = "tuitune"
_KERNEL_DTYPES = (torch.bfloat16, torch.float16)
# What says nothing about who sees whom, or is settled before: rows longer than a sliding window never come here.
_HARMLESS = frozenset(
    {"position_ids", "cache_position", "use_cache", "sliding_window", "is_causal", "output_attentions", "deterministic"}
    | {"logits_to_keep", "output_router_logits"}
)
# Masks are made in the model's forward and never in a recomputation, so a context variable is safe for them (the
# layout is not).
flat_forward: ContextVar[bool] = ContextVar("tuitune_flat_forward", default=False)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    layout: Layout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention over (1, heads, T, head_dim) queries; returns (1, T, heads, head_dim) and no weights."""
    if layout is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
    # Whatever else a model hands over (soft-capping, sinks, biases) would be left out in silence.
    strange = [name for name, value in kwargs.items() if name not in _HARMLESS and value is not None]
    if strange:
        raise ValueError(f"the flat attention does not know {', '.join(strange)}")
    drop = dropout if module.training else 0.0

    def full(q: Tensor, k: Tensor, v: Tensor, who: Layout) -> Tensor:
        if who.kernel and not drop and _kernel_fits(q):
            return _varlen(q, k, v, who, scaling)
        return _per_span(q, k, v, who, scaling, drop)

    return (shifted.attend(query, key, value, layout, full) if layout.group else full(query, key, value, layout)), None


def _per_span(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float | None, drop: float) -> Tensor:
    grouped = query.shape[1] != key.shape[1]
    parts = [_span(query, key, value, layout, span, scale, drop, grouped) for span in layout.spans]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous()


def _span(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    span: Span,
    scale: float | None,
    drop: float,
    grouped: bool,
) -> Tensor:
    q, k, v = (x[:, :, span.start : span.end] for x in (query, key, value))
    if not span.shared:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, dropout_p=drop, enable_gqa=grouped)
    begin, end = span.trunk
    k = torch.cat([key[:, :, begin:end], k], dim=2)
    v = torch.cat([value[:, :, begin:end], v], dim=2)
    # `is_causal` with more keys than queries is aligned to the top left in SDPA, which would be wrong here: an
    # explicit mask.
    bias = layout.bias(span, q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale, dropout_p=drop, enable_gqa=grouped)


def _kernel_fits(query: Tensor) -> bool:
    return query.is_cuda and _kernel_dtype(query) in _KERNEL_DTYPES and varlen_works(query.device.index)


def _kernel_dtype(query: Tensor) -> torch.dtype:
    # With fp32 master weights the rotary embedding leaves queries in fp32; SDPA casts them under autocast, the kernel
    # does not.
    kind = query.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype


def _varlen(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float | None) -> Tensor:
    from torch.nn.attention import varlen

    kernel: Any = varlen.varlen_attn
    packed = layout.packed
    dtype = _kernel_dtype(query)
    q, k, v = (x[0].transpose(0, 1).to(dtype) for x in (query, key, value))  # (T, heads, head_dim)
    if packed.gather is not None:
        k, v = k.index_select(0, packed.gather), v.index_select(0, packed.gather)
    out = kernel(
        q, k, v, packed.cu_queries, packed.cu_keys, packed.most_queries, packed.most_keys,
        scale=scale, window_size=(-1, 0), enable_gqa=q.shape[1] != k.shape[1],
    )  # fmt: skip
    assert isinstance(out, torch.Tensor)
    return out[None]


_VARLEN: dict[int, bool] = {}


def varlen_works(device: int | None) -> bool:
    """Whether torch's variable-length kernel agrees with SDPA here (masks to the bottom right); tried once."""
    index = device or 0
    if index not in _VARLEN:
        _VARLEN[index] = _probe(torch.device("cuda", index))
    return _VARLEN[index]


def _probe(device: torch.device) -> bool:
    # The alignment is not promised by torch's documentation, so it is tried: 3 queries on 5 keys, grouped heads.
    from tuitune.models.flat import Layout, Span

    generator = torch.Generator(device)
    generator.manual_seed(0)

    def random(heads: int) -> Tensor:
        return torch.randn(1, heads, 5, 64, generator=generator, device=device).to(torch.bfloat16)

    query, key, value = random(4), random(2), random(2)
    layout = Layout([Span(0, 2), Span(2, 5, (0, 2))], device)
    try:
        mine = _varlen(query, key, value, layout, None).float()
    except (RuntimeError, NotImplementedError, ImportError):
        return False
    truth = _per_span(query.float(), key.float(), value.float(), layout, None, 0.0)
    return bool((mine - truth).abs().max() < 3e-2)


def _mask(*args: Any, **kwargs: Any) -> Any:
    return None if flat_forward.get() else sdpa_mask(*args, **kwargs)


def register() -> None:
    """Make `attn_implementation="tuitune"` known to transformers; may be called again."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _mask)
