"""A small transformer encoder on the patches of an image, as a vision transformer (arXiv 2010.11929)."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

POSITION_DEVIATION = 0.02
"""Standard deviation of the initial position embeddings, as in ViT and BERT."""


class Attention(nn.Module):
    """Softmax attention of every token to every token, in several heads.

    Each projection is a layer of its own. Head h reads the outputs h·d to (h + 1)·d of ``query``, ``key`` and
    ``value`` and writes through the same columns of ``output``, d being the embedding over the heads.
    """

    def __init__(self, embedding: int, num_heads: int) -> None:
        """Take the features of a token and the number of heads, which divides it."""
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.output = (nn.Linear(embedding, embedding) for _ in range(4))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return what each token gathers; shapes (points, tokens, features)."""
        query, key, value = (
            projection(tokens).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        gathered = torch.softmax(scores, dim=-1) @ value
        result: Tensor = self.output(gathered.transpose(1, 2).flatten(2))
        return result


class FeedForward(nn.Module):
    """Two linear layers with an activation between them, token by token."""

    def __init__(self, embedding: int, width: int, activation: Callable[[], nn.Module]) -> None:
        """Take the features of a token, the hidden units and what makes their activation."""
        super().__init__()
        self.expand = nn.Linear(embedding, width)
        self.activation = activation()
        self.contract = nn.Linear(width, embedding)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the outputs; shapes (points, tokens, features)."""
        result: Tensor = self.contract(self.activation(self.expand(tokens)))
        return result


class EncoderBlock(nn.Module):
    """Attention, then a feed-forward block: each with a LayerNorm before it and a shortcut beside it.

    The order of arXiv 2002.04745, which trains without a warm-up.
    """

    def __init__(
        self, embedding: int, num_heads: int, width: int, activation: Callable[[], nn.Module]
    ) -> None:
        """Take the features of a token, the heads, and the hidden units of the feed-forward block."""
        super().__init__()
        self.attention_norm = nn.LayerNorm(embedding)
        self.attention = Attention(embedding, num_heads)
        self.feed_forward_norm = nn.LayerNorm(embedding)
        self.feed_forward = FeedForward(embedding, width, activation)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens after the block; shapes (points, tokens, features)."""
        tokens = tokens + self.attention(self.attention_norm(tokens))
        result: Tensor = tokens + self.feed_forward(self.feed_forward_norm(tokens))
        return result


class PatchTransformer(nn.Module):
    """Patches as tokens, learned positions, encoder blocks, the mean over tokens, a linear readout."""

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        widths: Sequence[int],
        num_outputs: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
        *,
        patch: int,
        embedding: int,
        num_heads: int,
        generator: torch.Generator,
    ) -> None:
        """Take the shape of a network.

        Args:
            input_shape: channels, height and width of an image.
            widths: the hidden units of the feed-forward block of each encoder block.
            num_outputs: of the readout.
            activation: makes that of a feed-forward block.
            patch: the side of a patch, which divides height and width.
            embedding: features of a token.
            num_heads: of the attention, which divides the embedding.
            generator: draws the positions.
        """
        super().__init__()
        self.input_shape = input_shape
        self.patch = patch
        channels, height, width = input_shape
        num_tokens = height // patch * (width // patch)
        self.embed = nn.Linear(channels * patch * patch, embedding)
        positions = torch.empty(num_tokens, embedding).normal_(0, POSITION_DEVIATION, generator=generator)
        self.positions = nn.Parameter(positions)
        blocks = [EncoderBlock(embedding, num_heads, units, activation) for units in widths]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(embedding)
        self.readout = nn.Linear(embedding, num_outputs)

    def forward(self, points: Tensor) -> Tensor:
        """Return the outputs for images that are flattened, one a row."""
        tokens = self.embed(self.patches(points)) + self.positions
        result: Tensor = self.readout(self.norm(self.blocks(tokens)).mean(1))
        return result

    def patches(self, points: Tensor) -> Tensor:
        """Return the patches of flattened images, row by row; shape (points, tokens, channels · side²)."""
        channels, height, width = self.input_shape
        side = self.patch
        images = points.unflatten(1, (channels, height // side, side, width // side, side))
        patches: Tensor = images.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return patches
