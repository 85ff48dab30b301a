"""Copies of a network, one for each thread that runs it.

Torch leaves the interpreter to other threads while it computes, so several runs of a network, with one torch
thread each, use the CPUs better than one run with several: the steps between large products do not wait.
A module may keep what it computes from one of its functions to the next, so threads do not share one. They
share its parameters.
"""

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import torch

from spaceprobe.folding.prepared_module import PreparedModule
from spaceprobe.machine.cpus import default_threads
from spaceprobe.machine.torch_threads import one_thread

Item = TypeVar("Item")
Result = TypeVar("Result")


class Crew:
    """A network on each of some threads.

    Attributes:
        network: the first of the copies.
        num_threads: how many there may be.
    """

    def __init__(self, network: PreparedModule, threads: int | None = None) -> None:
        """Keep a network; copies are made when they are needed.

        Args:
            network: piecewise linear.
            threads: how many run it on a CPU; None for `default_threads`. A GPU has one.
        """
        self.network = network
        self.num_threads = (threads or default_threads()) if network.device.type == "cpu" else 1
        self._copies = [network]

    def map(self, function: Callable[[PreparedModule, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return the results of a function of a copy of the network and an item, in the order of the items.

        An error or Ctrl-C drops the items that were not begun.
        """
        num_threads = min(self.num_threads, len(items))
        with one_thread():
            if num_threads <= 1:
                return [function(self.network, item) for item in items]
            while len(self._copies) < num_threads:
                self._copies.append(twin(self.network))
            free: SimpleQueue[PreparedModule] = SimpleQueue()
            for network in self._copies:
                free.put(network)

            def work(item: Item) -> Result:
                network = free.get()
                try:
                    with torch.no_grad():  # of this thread
                        return function(network, item)
                finally:
                    free.put(network)

            pool = ThreadPoolExecutor(num_threads, "layerwise-walk", torch.set_num_threads, (1,))
            try:
                return list(pool.map(work, items))
            finally:
                pool.shutdown(cancel_futures=True)


def twin(network: PreparedModule) -> PreparedModule:
    """Return a copy of a network that shares its parameters."""
    parameters = [*network.head.parameters(), *network.body.parameters()]
    return copy.deepcopy(network, {id(parameter): parameter for parameter in parameters})
