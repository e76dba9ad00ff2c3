"""On a GPU: torch's variable-length kernel against SDPA in fp32, with shared beginnings and grouped heads."""

from __future__ import annotations

import pytest
import torch

from tuitune.models import attention
from tuitune.models.flat import Layout, Span

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
LAYOUTS = {
    "one sequence": [Span(0, 300)],
    "many": [Span(0, 5), Span(5, 200), Span(200, 201), Span(201, 460)],
    "branches": [Span(0, 150), Span(150, 151, (0, 150)), Span(151, 400, (0, 150)), Span(400, 420)],
}


@pytest.mark.parametrize("head", [64, 96, 128])
@pytest.mark.parametrize("spans", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_the_kernel_and_its_gradient_are_as_near_as_bf16_allows(spans: list[Span], head: int) -> None:
    device = torch.device("cuda")
    layout = Layout(spans, device)
    torch.manual_seed(0)
    shapes = [(1, heads, spans[-1].end, head) for heads in (8, 2, 2)]
    exact = [torch.randn(shape, device=device).requires_grad_() for shape in shapes]
    weight = torch.randn(1, spans[-1].end, 8, head, device=device)

    def run(dtype: torch.dtype, kernel: bool) -> list[torch.Tensor]:
        q, k, v = (x.detach().to(dtype).requires_grad_() for x in exact)
        way = attention._varlen if kernel else lambda *a: attention._per_span(*a, 0.0)
        out = way(q, k, v, layout, None)
        (out.float() * weight).sum().backward()
        return [out.float(), *(x.grad.float() for x in (q, k, v))]

    truth, mine, plain = run(torch.float32, False), run(torch.bfloat16, True), run(torch.bfloat16, False)
    for a, b, c in zip(truth, mine, plain, strict=True):
        assert (b - a).norm() <= 2 * (c - a).norm() + 1e-3 * a.norm()


def test_the_start_up_probe_passes_here() -> None:
    assert attention.varlen_works(torch.cuda.current_device())
