"""One batch over several processes, as `torchrun` starts them: the same loss on each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from napari_smse.errors import TrainingError


@dataclass(frozen=True)
class DataParallel:
    """The part of one process in batches that all compute together.

    Every process computes its share of the crops. Embeddings and logits are gathered, each
    process's own with their gradient, so that all see the same total loss, over
    the same pairs and triplets; the sum of the processes' gradients is then exactly the gradient
    of that loss. Alone, it does nothing.

    Attributes
    ----------
    rank, processes
        Which of how many.
    """

    rank: int = 0
    processes: int = 1

    @property
    def is_writer(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, size: int) -> slice:
        """Return which of a batch's `size` crops this process computes."""
        return self._share_of(self.rank, size)

    def gather(self, own: Tensor, size: int) -> Tensor:
        """Return all processes' values ``(size, ...)``, in order, from the own share's.

        Only the own part has a gradient.
        """
        if self.processes == 1:
            return own
        max_size = -(-size // self.processes)
        # Gathering takes pieces of one size only.
        padded = own.new_zeros(max_size, *own.shape[1:])
        padded[: len(own)] = own.detach()
        pieces = [torch.empty_like(padded) for _ in range(self.processes)]
        distributed.all_gather(pieces, padded)
        shares = [self._share_of(rank, size) for rank in range(self.processes)]
        parts = [
            piece[: share.stop - share.start] for piece, share in zip(pieces, shares, strict=True)
        ]
        parts[self.rank] = own
        return torch.cat(parts)

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each parameter's gradient by the sum over all processes."""
        if self.processes == 1:
            return
        trainable = [p for p in parameters if p.requires_grad]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in trainable]
        flat = torch.cat([grad.flatten() for grad in grads])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [grad.numel() for grad in grads])
        for parameter, part in zip(trainable, parts, strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))

    def copy_from_first(self, tensors: Sequence[Tensor]) -> None:
        """Give all processes the first one's values, in place."""
        if self.processes > 1:
            for tensor in tensors:
                distributed.broadcast(tensor.data, src=0)

    def check_same(self, value: int, what: str, device: torch.device) -> None:
        """Raise `TrainingError` if the processes do not agree on a number."""
        if self.processes == 1:
            return
        own = torch.tensor([value, -value], device=device)
        distributed.all_reduce(own, op=distributed.ReduceOp.MAX)
        if int(own[0]) != -int(own[1]):
            raise TrainingError(
                f"The processes do not agree on {what}: let all see the same training folder and "
                "the same images."
            )

    def _share_of(self, rank: int, size: int) -> slice:
        max_size = -(-size // self.processes)
        return slice(min(rank * max_size, size), min((rank + 1) * max_size, size))


def joined_processes(device: str) -> tuple[DataParallel, str]:
    """Join the processes that `torchrun` started, if it did.

    Parameters
    ----------
    device
        As the user gave it; with several processes on CUDA, each takes the GPU of its own number.

    Returns
    -------
    tuple of DataParallel and str
        This process's part, and its device.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or not distributed.is_available():
        return DataParallel(), device
    if device.startswith("cuda"):
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return DataParallel(distributed.get_rank(), distributed.get_world_size()), device
