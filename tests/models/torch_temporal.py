"""The temporal multi-task model in PyTorch, written from the paper.

AIM3-RUC's networks (arXiv 2207.09373): post-norm encoders, shared and private,
heads, and feedback of hidden states or labels. Batch first, window by window.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

# In the order in which the published code computes them.
TASKS = {'valence': 1, 'arousal': 1, 'au': 12, 'expression': 8}


def position_codes(length: int, dim: int, zero_first: bool) -> torch.Tensor:
  """Returns fixed sine-cosine codes [t, d]; with `zero_first` row 0 is zero."""
  angles = np.arange(length)[:, None] / 10000 ** (np.arange(0, dim, 2) / dim)
  codes = np.zeros((length, dim))
  codes[:, 0::2], codes[:, 1::2] = np.sin(angles), np.cos(angles)
  if zero_first:
    codes[0] = 0.0
  return torch.tensor(codes, dtype=torch.float32)


class Encoder(nn.Module):
  """Optional projection, positions and post-norm layers."""

  def __init__(
      self,
      dim: int,
      depth: int,
      num_heads: int,
      mlp_dim: int,
      *,
      feature_dim: int | None = None,
      dropout: float = 0.0,
      zero_first: bool = True,
  ):
    super().__init__()
    self.zero_first = zero_first
    self.affine = nn.Linear(feature_dim, dim) if feature_dim else None
    self.layers = nn.ModuleList(
        nn.TransformerEncoderLayer(
            dim, num_heads, mlp_dim, dropout, batch_first=True
        )
        for _ in range(depth)
    )

  def forward(self, x, padding=None):
    """Returns hidden states; `padding` [b, t] is True on padded frames."""
    x = x if self.affine is None else self.affine(x)
    x = x + position_codes(*x.shape[-2:], self.zero_first).to(x.device)
    for layer in self.layers:
      x = layer(x, src_key_padding_mask=padding)
    return x


class Head(nn.Module):
  """MLP with dropout before the first layer and after every ReLU."""

  def __init__(self, dim, hidden_dims, out_dim, dropout):
    super().__init__()
    widths = [dim, *hidden_dims]
    self.hidden = nn.ModuleList(map(nn.Linear, widths, hidden_dims))
    self.out = nn.Linear(widths[-1], out_dim)
    self.dropout = nn.Dropout(dropout)

  def forward(self, x):
    """Returns (output, hidden state)."""
    x = self.dropout(x)
    for layer in self.hidden:
      x = self.dropout(torch.relu(layer(x)))
    return self.out(x), x


class LabelEmbedding(nn.Module):
  """A sum of one vector per label, weighted by its probability."""

  def __init__(self, task, dim):
    super().__init__()
    self.task = task
    self.table = nn.Parameter(torch.randn(TASKS[task], dim))

  def forward(self, output, truth=None, use_truth=None):
    """Returns embedded labels; missing ones are -5 and -1 in `truth`."""
    output = output.detach()
    if self.task in ('valence', 'arousal'):
      value = output
    elif self.task == 'au':
      value = torch.sigmoid(output)
    else:
      value = torch.softmax(output, dim=-1)
    if truth is not None:
      true = truth[self.task]
      if self.task == 'expression':
        one_hot = nn.functional.one_hot(true.clamp(min=0), 8).float()
        true = one_hot * (true != -1)[..., None]
      elif self.task != 'au':
        true = true[..., None]
      value = torch.where(use_truth[None, :, None], true.float(), value)
    if self.task in ('valence', 'arousal'):
      value = torch.where(value != -5, (value + 1) / 2, torch.zeros(()))
    elif self.task == 'au':
      value = torch.where(value != -1, value, torch.zeros(()))
    return value @ self.table


class TemporalModel(nn.Module):
  """Share Encoder, or Share Bottom with private encoders; optional feedback.

  The defaults are those of the winning script: one shared and three private
  layers, feedback from valence and AUs to arousal.
  """

  def __init__(
      self,
      feature_dim: int,
      *,
      dim: int = 1024,
      depth: int = 1,
      private_layers: int = 3,
      num_heads: int = 16,
      head_dim: int = 64,
      mlp_dim: int = 2048,
      hidden_dims: Sequence[int] = (512, 256),
      feedback: str = 'hidden',
      sources: Sequence[str] = ('valence', 'au'),
      targets: Sequence[str] = ('arousal',),
      feed_dim: int = 256,
      dropout: float = 0.0,
      zero_first: bool = True,
  ):
    super().__init__()
    self.feedback, self.sources, self.targets = feedback, sources, targets
    self.encoder = Encoder(
        dim,
        depth,
        num_heads,
        mlp_dim,
        feature_dim=feature_dim,
        dropout=dropout,
        zero_first=zero_first,
    )
    private, task_heads = {}, {}
    width = hidden_dims[-1] if feedback == 'hidden' else feed_dim
    for task, out_dim in TASKS.items():
      fed = feedback != 'none' and task in targets
      own = dim + len(sources) * width if fed else dim
      if private_layers:
        private[task] = Encoder(
            own,
            private_layers,
            own // head_dim,
            mlp_dim,
            dropout=dropout,
            zero_first=zero_first,
        )
      task_heads[task] = Head(own, hidden_dims, out_dim, dropout)
    self.private = nn.ModuleDict(private)
    self.heads = nn.ModuleDict(task_heads)
    self.embeddings = nn.ModuleDict(
        {task: LabelEmbedding(task, feed_dim) for task in sources}
        if feedback == 'label'
        else {}
    )

  def forward(self, features, padding=None, truth=None, use_truth=None):
    """Returns outputs by task for one window, valence and arousal [b, t, 1]."""
    shared = self.encoder(features, padding)
    output, feats = {}, {}
    targets = self.targets if self.feedback != 'none' else ()
    for task in [t for t in TASKS if t not in targets] + list(targets):
      x = shared
      if task in targets and self.feedback == 'hidden':
        fed_back = [feats[source].detach() for source in self.sources]
        x = torch.cat([x, *fed_back], dim=-1)
      elif task in targets:
        fed_back = [
            self.embeddings[source](output[source], truth, use_truth)
            for source in self.sources
        ]
        x = torch.cat([x, *fed_back], dim=-1)
      if task in self.private:
        x = self.private[task](x, padding)
      output[task], feats[task] = self.heads[task](x)
    return output

  def networks(self) -> dict[str, list[nn.Parameter]]:
    """Returns the parameters of each part with its own gradient clipping."""
    parts = {'encoder': list(self.encoder.parameters())}
    for task in TASKS:
      parts[task] = list(self.heads[task].parameters())
      if task in self.private:
        parts[task] += list(self.private[task].parameters())
    for task, embedding in self.embeddings.items():
      parts[f'feedback_{task}'] = list(embedding.parameters())
    return parts


def randomise(module: nn.Module, std: float, seed: int = 0) -> None:
  """Sets every parameter to random numbers, also norms and biases."""
  torch.manual_seed(seed)
  for name, parameter in module.named_parameters():
    torch.nn.init.normal_(parameter, std=std)
    if 'norm' in name and name.endswith('weight'):
      parameter.data += 1.0


def to_ours(module: nn.Module, *, grad: bool = False) -> dict:
  """Returns the parameters (or gradients) of a module in our format.

  The module is a TemporalModel, Encoder or `torch.nn.TransformerEncoderLayer`.
  """

  def array(tensor):
    if grad and tensor.grad is None:
      return np.zeros(tensor.shape, np.float32)
    return (tensor.grad if grad else tensor).detach().numpy().copy()

  def dense(linear):
    return {'kernel': array(linear.weight).T, 'bias': array(linear.bias)}

  def norm(layer):
    return {'scale': array(layer.weight), 'bias': array(layer.bias)}

  if isinstance(module, nn.TransformerEncoderLayer):
    attn = module.self_attn
    qkv = {
        'kernel': array(attn.in_proj_weight).T,
        'bias': array(attn.in_proj_bias),
    }
    return {
        'attn': {'qkv': qkv, 'proj': dense(attn.out_proj)},
        'norm1': norm(module.norm1),
        'norm2': norm(module.norm2),
        'fc1': dense(module.linear1),
        'fc2': dense(module.linear2),
    }
  if isinstance(module, Encoder):
    layers = {
        f'layers_{i}': to_ours(layer, grad=grad)
        for i, layer in enumerate(module.layers)
    }
    affine = {} if module.affine is None else {'affine': dense(module.affine)}
    return layers | affine
  params = {'encoder': to_ours(module.encoder, grad=grad)}
  for task, head in module.heads.items():
    params[task] = {
        'head': {
            **{f'fc{i + 1}': dense(fc) for i, fc in enumerate(head.hidden)},
            'out': dense(head.out),
        }
    }
    if task in module.private:
      params[task]['encoder'] = to_ours(module.private[task], grad=grad)
  for task, embedding in module.embeddings.items():
    params[f'feedback_{task}'] = {'embedding': array(embedding.table)}
  return params
