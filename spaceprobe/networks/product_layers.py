"""Linear layers whose weight is a product of factors of a chosen rank: five as in the LMD, or two.

A `FactoredLinear` is parametrised by the five factors of the Layer Matrix Decomposition (arXiv 2309.05968,
docs/definitions.md, "The five factors"): W = U · O_dist · diag(S') · I_dist · Vᵀ, all of them trained. A
`LowRankLinear` is W = left · right. Both are linear layers to everything that looks at one: their ``weight``
is the product.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear


class ProductLinear(nn.Linear):
    """A linear layer whose weight is the product of its other parameters.

    Attributes:
        bias: what is added to the outputs; None for nothing.
    """

    def __init__(self, num_outputs: int, num_inputs: int, bias: Tensor | None) -> None:
        """Take the sides of the weight and the bias; a subclass adds the factors."""
        nn.Module.__init__(self)  # not that of a linear layer, which has a weight to draw
        self.in_features, self.out_features = num_inputs, num_outputs
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias.clone()))

    @property
    def weight(self) -> Tensor:  # type: ignore[override]  # a parameter of a linear layer
        """The product of the factors, of shape (outputs, inputs)."""
        raise NotImplementedError

    @property
    def rank(self) -> int:
        """The number of directions between the outer factors that are in use."""
        raise NotImplementedError

    @property
    def num_idle_parameters(self) -> int:
        """The entries of parameters that belong to directions that were dropped."""
        return 0

    @classmethod
    def of_weight(
        cls, weight: Float[Tensor, "outputs inputs"], bias: Tensor | None, rank: int
    ) -> "ProductLinear":
        """Return a layer with the best approximation of a weight of at most this rank; see `leading_svd`."""
        raise NotImplementedError


class FactoredLinear(ProductLinear):
    """A linear layer of five factors: x → U O_dist diag(S') I_dist Vᵀ x + bias.

    All factors are trained, without constraints: after a step U is not orthonormal, and S' not sorted. Their
    product can be decomposed anew at any time, which `keep_largest` does.

    Attributes:
        U: of shape (outputs, rank).
        O_dist: of shape (rank, rank).
        S_prime: of shape (rank,).
        I_dist: of shape (rank, rank).
        Vh: of shape (rank, inputs).
    """

    def __init__(
        self,
        U: Float[Tensor, "outputs rank"],
        O_dist: Float[Tensor, "rank rank"],
        S_prime: Float[Tensor, "rank"],
        I_dist: Float[Tensor, "rank rank"],
        Vh: Float[Tensor, "rank inputs"],
        bias: Float[Tensor, "outputs"] | None = None,
    ) -> None:
        """Take the five factors, as `spaceprobe.lmd.decompose` returns them in any metric, and the bias."""
        super().__init__(U.shape[0], Vh.shape[1], bias)
        self.U, self.O_dist, self.S_prime, self.I_dist, self.Vh = (
            nn.Parameter(factor.clone()) for factor in (U, O_dist, S_prime, I_dist, Vh)
        )

    @classmethod
    def of_weight(
        cls, weight: Float[Tensor, "outputs inputs"], bias: Tensor | None, rank: int
    ) -> "FactoredLinear":
        """Return a layer with the factors of a weight cut to a rank, in the metric identity."""
        U, values, Vh = leading_svd(weight, rank)
        one = torch.eye(len(values), dtype=weight.dtype)
        return cls(U, one, values, one, Vh, bias)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The product of the five factors, of shape (outputs, inputs)."""
        return (self.U @ (self.O_dist * self.S_prime)) @ (self.I_dist @ self.Vh)

    @property
    def rank(self) -> int:
        """The number of directions that are in use: those whose S' is not 0."""
        return int(self.S_prime.count_nonzero())

    @property
    def num_idle_parameters(self) -> int:
        """The entries of parameters that belong to directions that were dropped."""
        size, rank = len(self.S_prime), self.rank
        outside = (self.out_features + self.in_features + 1) * (size - rank)
        return outside + 2 * (size**2 - rank**2)

    def forward(self, input: Tensor) -> Tensor:
        """Return the outputs for inputs of shape (points, inputs), factor by factor: no product is formed."""
        latent = linear(linear(input, self.Vh), self.I_dist) * self.S_prime
        return linear(linear(latent, self.O_dist), self.U, self.bias)

    @torch.no_grad()
    def keep_largest(self, share: float) -> bool:
        """Decompose the product anew, and drop the directions whose share in Σ S'² is below a threshold.

        Of our own making. The factors become those of the product in the metric identity: S' are its
        singular values, O_dist and I_dist ones. What is dropped is 0 in all five factors, so that its
        gradients are 0 and it stays dropped; the shapes stay as they are. The largest one is always kept.

        Args:
            share: from 0, which drops what is exactly 0, to 1.

        Returns:
            Whether anything was dropped; otherwise the factors stay as they are.
        """
        rank = self.rank
        U, values, Vh = leading_svd(self.weight, rank)
        energies = values.double().square()
        kept = max(1, int((energies >= share * energies.sum()).logical_and(energies > 0).sum()))
        if kept >= rank:
            return False
        for factor in (self.U, self.O_dist, self.S_prime, self.I_dist, self.Vh):
            factor.zero_()
        self.U[:, :kept], self.S_prime[:kept], self.Vh[:kept] = U[:, :kept], values[:kept], Vh[:kept]
        for square in (self.O_dist, self.I_dist):
            square[:kept, :kept].fill_diagonal_(1)
        return True

    def extra_repr(self) -> str:
        """Return the sides and the rank."""
        return f"in_features={self.in_features}, out_features={self.out_features}, rank={self.rank}"


class LowRankLinear(ProductLinear):
    """A linear layer of two factors: x → left right x + bias.

    Attributes:
        left: of shape (outputs, rank).
        right: of shape (rank, inputs).
    """

    def __init__(
        self,
        left: Float[Tensor, "outputs rank"],
        right: Float[Tensor, "rank inputs"],
        bias: Float[Tensor, "outputs"] | None = None,
    ) -> None:
        """Take the two factors and the bias."""
        super().__init__(left.shape[0], right.shape[1], bias)
        self.left, self.right = nn.Parameter(left.clone()), nn.Parameter(right.clone())

    @classmethod
    def of_weight(
        cls, weight: Float[Tensor, "outputs inputs"], bias: Tensor | None, rank: int
    ) -> "LowRankLinear":
        """Return a layer with U √Σ and √Σ Vᵀ of a weight cut to a rank."""
        U, values, Vh = leading_svd(weight, rank)
        roots = values.sqrt()
        return cls(U * roots, roots[:, None] * Vh, bias)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The product of the two factors, of shape (outputs, inputs)."""
        return self.left @ self.right

    @property
    def rank(self) -> int:
        """The number of directions between the factors."""
        return len(self.right)

    def forward(self, input: Tensor) -> Tensor:
        """Return the outputs for inputs of shape (points, inputs)."""
        return linear(linear(input, self.right), self.left, self.bias)

    def extra_repr(self) -> str:
        """Return the sides and the rank."""
        return f"in_features={self.in_features}, out_features={self.out_features}, rank={self.rank}"


@torch.no_grad()
def leading_svd(weight: Float[Tensor, "outputs inputs"], rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return U, the singular values and Vᵀ of a weight, cut to a rank; computed in float64 on the CPU.

    Args:
        weight: the matrix.
        rank: how many components to keep; more than there are keeps all.

    Returns:
        Tensors of the weight's type, on its device. The entry of largest magnitude of each row of Vᵀ is
        positive, as in `spaceprobe.lmd.decompose`.
    """
    U, values, Vh = torch.linalg.svd(weight.detach().double().cpu(), full_matrices=False)
    largest = Vh.gather(1, Vh.abs().argmax(dim=1, keepdim=True))
    sign = torch.where(largest < 0, -1.0, 1.0).to(torch.float64)
    U, Vh = U * sign.T, Vh * sign
    return U[:, :rank].contiguous().to(weight), values[:rank].to(weight), Vh[:rank].to(weight)


def with_products(network: nn.Sequential, kind: type[ProductLinear], ranks: Sequence[int]) -> nn.Sequential:
    """Return a network with products of factors in place of the weights of its linear layers.

    Args:
        network: an MLP; its linear layers may be products already.
        kind: of the new layers.
        ranks: at most so many directions each, in the order of the layers; more than a layer has are all.

    Raises:
        ValueError: there are not as many ranks as linear layers, or one is below 1.
    """
    num_layers = sum(isinstance(module, nn.Linear) for module in network)
    if len(ranks) != num_layers or min(ranks) < 1:
        raise ValueError(
            f"ranks: expected a number from 1 for each of {num_layers} weight matrices, got {list(ranks)}"
        )
    waiting = iter(ranks)
    return nn.Sequential(
        *(
            kind.of_weight(module.weight.detach(), module.bias, next(waiting))
            if isinstance(module, nn.Linear)
            else module
            for module in network
        )
    )


@torch.no_grad()
def state_with_products(network: nn.Module) -> dict[str, Tensor]:
    """Return the state of a network, with the product of each layer of factors in their place.

    That is the state of the network of linear layers that computes the same, up to rounding.
    """
    state: dict[str, Tensor] = network.state_dict()
    for name, module in network.named_modules():
        if not isinstance(module, ProductLinear):
            continue
        prefix = f"{name}." if name else ""
        for factor, _ in module.named_parameters():
            if factor != "bias":
                del state[prefix + factor]
        state[f"{prefix}weight"] = module.weight
    return state
