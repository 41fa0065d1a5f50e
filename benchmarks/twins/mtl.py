"""Temporal models in PyTorch, which step from window to window like AIM3-RUC."""

from collections.abc import Callable, Mapping, Sequence
import itertools
from typing import Any

import numpy as np
import torch
from torch import nn

# The reference network of the tests.
from tests.models import torch_temporal

Windows = Sequence[Mapping[str, np.ndarray]]


class Recurrent(nn.Module):
  """LSTM or GRU with a head for each task."""

  def __init__(self, model: Mapping[str, Any], feature_dim: int):
    super().__init__()
    kind = {'lstm': nn.LSTM, 'gru': nn.GRU}[model['encoder']]
    rate = model['encoder_dropout']
    between = rate if model['depth'] > 1 else 0.0
    self.encoder = kind(
        feature_dim,
        model['dim'],
        model['depth'],
        batch_first=True,
        dropout=between,
    )
    self.dropout = nn.Dropout(rate)
    self.heads = nn.ModuleDict(
        {
            task: torch_temporal.Head(
                model['dim'], model['hidden_dims'], width, model['dropout']
            )
            for task, width in torch_temporal.TASKS.items()
        }
    )
    self.state = None

  def forward(self, features):
    """Returns outputs by task; keeps the hidden state for the next window."""
    x, state = self.encoder(features, self.state)
    self.state = (
        tuple(part.detach() for part in state)
        if isinstance(state, tuple)
        else state.detach()
    )
    x = self.dropout(x)
    return {task: head(x)[0] for task, head in self.heads.items()}

  def networks(self) -> dict[str, list[nn.Parameter]]:
    """Returns parameters by part; each part has its own gradient clipping."""
    parts = {'encoder': self.encoder, **self.heads}
    return {name: list(part.parameters()) for name, part in parts.items()}


def make_model(model: Mapping[str, Any], feature_dim: int) -> nn.Module:
  """Returns the reference network for a `model` section."""
  if model['encoder'] in ('lstm', 'gru'):
    return Recurrent(model, feature_dim)
  names = (
      'dim', 'depth', 'private_layers', 'num_heads', 'mlp_dim', 'feedback',
      'feed_dim', 'dropout',
  )  # fmt: skip
  return torch_temporal.TemporalModel(
      feature_dim,
      head_dim=model['private_head_dim'],
      hidden_dims=model['hidden_dims'],
      sources=model['feed_source'].split(','),
      targets=model['feed_target'].split(','),
      **{name: model[name] for name in names},
  )


def make_steps(
    config: Mapping[str, Any], windows: Windows, *, device: str, fused: bool
) -> tuple[Callable[[], torch.Tensor], Callable[[], torch.Tensor]]:
  """Returns (update on the next window, prediction of the next window).

  They do not wait for the device.

  Args:
    config: plain nested dict of `configs/`.
    windows: batches of our task, of one length.
    device: 'cpu' or 'gpu'.
    fused: whether to use PyTorch's fused Adam instead of its default.
  """
  device = 'cuda' if device == 'gpu' else 'cpu'
  section = config['optim']
  model = make_model(config['model'], windows[0]['features'].shape[-1])
  model = model.to(device)
  optimizer = torch.optim.Adam(
      model.parameters(),
      lr=section['lr'],
      betas=(section['b1'], section['b2']),
      fused=fused,
  )
  batches = [
      {k: torch.tensor(v, device=device) for k, v in window.items()}
      for window in windows
  ]

  to_train, to_predict = itertools.cycle(batches), itertools.cycle(batches)

  def forward(batch, *, train: bool):
    model.train(train)
    if batch['start'].any():
      model.state = None
    return model(batch['features'])

  def update() -> torch.Tensor:
    batch = next(to_train)
    loss = total_loss(forward(batch, train=True), batch, config['loss'])
    optimizer.zero_grad()
    loss.backward()
    for parameters in model.networks().values():
      nn.utils.clip_grad_norm_(parameters, section['clip_norm'])
    optimizer.step()
    return loss

  def predict() -> torch.Tensor:
    with torch.no_grad():
      return forward(next(to_predict), train=False)['au'].sum()

  return update, predict


def total_loss(output, batch, section: Mapping[str, Any]) -> torch.Tensor:
  """Returns the weighted sum of the masked losses."""
  weights = section['weights']
  total = 0.0
  for task in ('valence', 'arousal'):
    error = (output[task][..., 0] - batch[task]) ** 2 * batch['va']
    total = total + weights[task] * error.sum() / batch['va'].sum()
  total = total + weights['expression'] * nn.functional.cross_entropy(
      output['expression'][batch['expr']],
      batch['expression'][batch['expr']].long(),
  )
  return total + weights['au'] * nn.functional.binary_cross_entropy_with_logits(
      output['au'][batch['au_mask']], batch['au'][batch['au_mask']].float()
  )
