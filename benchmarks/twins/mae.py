"""Train step of Hugging Face's ViTMAE in PyTorch."""

from collections.abc import Callable

import torch
import transformers

from abaw_jax.models.vision import mae


def make_step(
    model: mae.MAE, *, batch_size: int, dtype: str, device: str
) -> Callable[[], torch.Tensor]:
  """Returns a function for one update of a model of the same shape.

  Trains with AdamW on normalised random images. On a GPU, it uses torch.compile
  and the fused AdamW. bfloat16 means autocast; parameters and moments stay
  float32. The function does not wait for the device.

  Args:
    model: our model, for its sizes.
    batch_size: images per update.
    dtype: 'float32' or 'bfloat16'.
    device: 'cpu' or 'gpu'.
  """
  device = 'cuda' if device == 'gpu' else 'cpu'
  encoder = model.encoder
  twin = transformers.ViTMAEForPreTraining(
      transformers.ViTMAEConfig(
          hidden_size=encoder.dim,
          num_hidden_layers=encoder.depth,
          num_attention_heads=encoder.num_heads,
          intermediate_size=4 * encoder.dim,
          image_size=encoder.image_size,
          patch_size=encoder.patch_size,
          decoder_hidden_size=model.decoder_dim,
          decoder_num_hidden_layers=model.decoder_depth,
          decoder_num_attention_heads=model.decoder_num_heads,
          decoder_intermediate_size=4 * model.decoder_dim,
          mask_ratio=model.mask_ratio,
          norm_pix_loss=model.norm_pix,
      )
  )
  twin = twin.to(device).train()
  optimizer = torch.optim.AdamW(
      twin.parameters(),
      lr=1e-4,
      betas=(0.9, 0.95),
      weight_decay=0.05,
      fused=device == 'cuda',
  )
  images = torch.randn(
      batch_size, 3, encoder.image_size, encoder.image_size, device=device
  )
  forward = torch.compile(twin) if device == 'cuda' else twin

  def step() -> torch.Tensor:
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(device, torch.bfloat16, enabled=dtype == 'bfloat16'):
      loss = forward(pixel_values=images).loss
    loss.backward()
    optimizer.step()
    return loss

  return step
