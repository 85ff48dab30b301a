"""Copies of a network, one for each thread that runs it.

Torch leaves the interpreter to other threads while it computes, so several runs of a network, with one torch
thread each, use the CPUs better than one run with several: the steps between large products do not wait.
A module may keep what it computes from one of its functions to the next, so threads do not share one. They
share its parameters.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

import torch

from spaceprobe.folding.options import Precision
from spaceprobe.folding.prepared_module import PreparedModule
from spaceprobe.machine.cpus import default_threads
from spaceprobe.machine.torch_threads import one_thread

Item = TypeVar("Item")
Result = TypeVar("Result")


class Networks(NamedTuple):
    """One network in two precisions.

    Attributes:
        exact: in float64.
        rough: in float32; None where everything is walked in float64.
    """

    exact: PreparedModule
    rough: PreparedModule | None


class Crew:
    """A network on each of some threads.

    Attributes:
        networks: the first of the copies.
        num_threads: how many there may be.
    """

    def __init__(
        self, network: PreparedModule, threads: int | None = None, precision: Precision = "float64"
    ) -> None:
        """Keep a network; copies are made when they are needed.

        Args:
            network: piecewise linear.
            threads: how many run it on a CPU; None for `default_threads`. A GPU has one.
            precision: with ``float32`` there is a copy in it.
        """
        self.networks = Networks(network, in_float32(network) if precision == "float32" else None)
        self.num_threads = (threads or default_threads()) if network.device.type == "cpu" else 1
        self._copies = [self.networks]

    def map(self, function: Callable[[Networks, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return the results of a function of a copy of the network and an item, in the order of the items.

        An error or Ctrl-C drops the items that were not begun.
        """
        num_threads = min(self.num_threads, len(items))
        with one_thread():
            if num_threads <= 1:
                return [function(self.networks, item) for item in items]
            while len(self._copies) < num_threads:
                self._copies.append(twin(self.networks))
            free: SimpleQueue[Networks] = SimpleQueue()
            for networks in self._copies:
                free.put(networks)

            def work(item: Item) -> Result:
                networks = free.get()
                try:
                    with torch.no_grad():  # of this thread
                        return function(networks, item)
                finally:
                    free.put(networks)

            pool = ThreadPoolExecutor(num_threads, "layerwise-walk", torch.set_num_threads, (1,))
            try:
                return list(pool.map(work, items))
            finally:
                pool.shutdown(cancel_futures=True)


def twin(networks: Networks) -> Networks:
    """Return a copy of a network that shares its parameters."""
    bodies = [network.body for network in networks if network is not None]
    parameters = [parameter for body in bodies for parameter in body.parameters()]
    return copy.deepcopy(networks, {id(parameter): parameter for parameter in parameters})


def in_float32(network: PreparedModule) -> PreparedModule:
    """Return a copy of a network whose body runs in float32."""
    rough = copy.deepcopy(network)
    rough.body.float()
    return rough


@contextmanager
def whole_float32() -> Iterator[None]:
    """While it lasts, products in float32 are not rounded further, to TF32 or bfloat16."""
    precision, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = cudnn
