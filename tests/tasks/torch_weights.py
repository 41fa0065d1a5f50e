"""Models of PyTorch with random weights, under the names of facebookresearch/mae."""

import torch
from torch.nn import functional
import transformers

DIM, DEPTH, HEADS = 64, 2, 2  # those of vit_nano
DECODER_DIM, DECODER_DEPTH, DECODER_HEADS = 32, 1, 4
IMAGE, PATCH = 32, 8

State = dict[str, torch.Tensor]


def hugging_face_mae(
    *, image: int = IMAGE, patch: int = PATCH
) -> transformers.ViTMAEForPreTraining:
  """Returns a MAE with random weights, norms included, and fixed positions."""
  torch.manual_seed(0)
  model = transformers.ViTMAEForPreTraining(
      transformers.ViTMAEConfig(
          hidden_size=DIM,
          num_hidden_layers=DEPTH,
          num_attention_heads=HEADS,
          intermediate_size=4 * DIM,
          image_size=image,
          patch_size=patch,
          decoder_hidden_size=DECODER_DIM,
          decoder_num_hidden_layers=DECODER_DEPTH,
          decoder_num_attention_heads=DECODER_HEADS,
          decoder_intermediate_size=4 * DECODER_DIM,
          layer_norm_eps=1e-6,
          norm_pix_loss=True,
      )
  )
  # The library believes its parameters made already and would skip this.
  for part in (
      model.vit.embeddings.patch_embeddings.projection,
      *model.parameters(),
  ):
    part._is_hf_initialized = False
  with torch.no_grad():
    model.vit.embeddings.initialize_weights()
    model.decoder.initialize_weights((image // patch) ** 2)
  for parameter in model.parameters():
    if parameter.requires_grad:
      torch.nn.init.normal_(parameter, std=0.2)
  return model.eval()


def mae_state(model: transformers.ViTMAEForPreTraining) -> State:
  """Returns the weights of a Hugging Face MAE under facebookresearch's names."""
  theirs = model.state_dict()
  state = {
      'cls_token': theirs['vit.embeddings.cls_token'],
      'pos_embed': theirs['vit.embeddings.position_embeddings'],
      'mask_token': theirs['decoder.mask_token'],
      'decoder_pos_embed': theirs['decoder.decoder_pos_embed'],
  }
  modules = {
      'patch_embed.proj': 'vit.embeddings.patch_embeddings.projection',
      'norm': 'vit.layernorm',
      'decoder_embed': 'decoder.decoder_embed',
      'decoder_norm': 'decoder.decoder_norm',
      'decoder_pred': 'decoder.decoder_pred',
  }
  blocks = {f'blocks.{i}': f'vit.layers.{i}' for i in range(DEPTH)}
  for i in range(DECODER_DEPTH):
    blocks[f'decoder_blocks.{i}'] = f'decoder.decoder_layers.{i}'
  for new, old in blocks.items():
    modules |= {
        f'{new}.norm1': f'{old}.layernorm_before',
        f'{new}.norm2': f'{old}.layernorm_after',
        f'{new}.attn.proj': f'{old}.attention.o_proj',
        f'{new}.mlp.fc1': f'{old}.mlp.fc1',
        f'{new}.mlp.fc2': f'{old}.mlp.fc2',
    }
    for kind in ('weight', 'bias'):
      state[f'{new}.attn.qkv.{kind}'] = torch.cat(
          [theirs[f'{old}.attention.{x}_proj.{kind}'] for x in 'qkv']
      )
  for new, old in modules.items():
    for kind in ('weight', 'bias'):
      state[f'{new}.{kind}'] = theirs[f'{old}.{kind}']
  return state


def encoder_state(state: State) -> State:
  """Returns what `mae_pretrain_*` files keep of a MAE."""
  return {
      name: value
      for name, value in state.items()
      if not name.startswith(('decoder', 'mask_token'))
  }


def fine_tuned_state(state: State, *, norm: str, classes: int = 5) -> State:
  """Returns the encoder as fine-tuning keeps it: learned positions and a head.

  Args:
    state: weights of a MAE.
    norm: 'norm' before the cls token is taken, 'fc_norm' after the mean.
    classes: rows of the head.
  """
  generator = torch.Generator().manual_seed(1)
  state = {
      name.replace('norm.', f'{norm}.') if name.startswith('norm.') else name: x
      for name, x in encoder_state(state).items()
  }
  state['pos_embed'] = torch.randn(
      state['pos_embed'].shape, generator=generator
  )
  state['head.weight'] = torch.randn(classes, DIM, generator=generator)
  state['head.bias'] = torch.randn(classes, generator=generator)
  return state


def vit_forward(state: State, images: torch.Tensor) -> torch.Tensor:
  """Returns the logits of a fine-tuned ViT, in the order of models_vit.py.

  Args:
    state: as `fine_tuned_state` returns it.
    images: normalised, [b, 3, h, w].
  """

  def linear(x, name):
    return functional.linear(x, state[f'{name}.weight'], state[f'{name}.bias'])

  def norm(x, name):
    return functional.layer_norm(
        x,
        x.shape[-1:],
        state[f'{name}.weight'],
        state[f'{name}.bias'],
        eps=1e-6,
    )

  x = functional.conv2d(
      images,
      state['patch_embed.proj.weight'],
      state['patch_embed.proj.bias'],
      stride=PATCH,
  )
  x = x.flatten(2).transpose(1, 2)
  x = torch.cat([state['cls_token'].expand(len(x), -1, -1), x], dim=1)
  x = x + state['pos_embed']
  for i in range(DEPTH):
    y = linear(norm(x, f'blocks.{i}.norm1'), f'blocks.{i}.attn.qkv')
    b, n, _ = y.shape
    q, k, v = y.reshape(b, n, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
    y = (weights @ v).transpose(1, 2).reshape(b, n, -1)
    x = x + linear(y, f'blocks.{i}.attn.proj')
    y = linear(norm(x, f'blocks.{i}.norm2'), f'blocks.{i}.mlp.fc1')
    x = x + linear(functional.gelu(y), f'blocks.{i}.mlp.fc2')
  if 'fc_norm.weight' in state:
    x = norm(x[:, 1:].mean(dim=1), 'fc_norm')
  else:
    x = norm(x, 'norm')[:, 0]
  return linear(x, 'head')
