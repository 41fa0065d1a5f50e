"""Options of temporal models, and messages about wrong ones."""

import pytest

from abaw_jax.core import choices, errors
from abaw_jax.models.temporal import fft_encoder, recurrent, transformers
from tests.models import temporal_models


def make(**options):
  section = temporal_models.section(**options)
  return temporal_models.temporal_zoo.make_temporal(**section)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'encoder': 'rnn'},
            r"model\.encoder: unknown value 'rnn'; choose one",
        ),
        ({'framework': 'x'}, r'share_encoder, share_bottom'),
        ({'norm': 'x'}, r'model\.norm: unknown value'),
        ({'positions': 'x'}, r'model\.positions: unknown value'),
        ({'first_position': 'x'}, r'model\.first_position: unknown value'),
        ({'time': 'x'}, r'model\.time: unknown value'),
        ({'initializer': 'x'}, r'model\.initializer: unknown value'),
        ({'dtype': 'x'}, r'model\.dtype: unknown value'),
        ({'num_heads': 3}, r'dim=1024 is not a multiple of .*num_heads=3'),
        ({'private_layers': 0}, 'private_layers=0: share_bottom needs 1'),
        ({'framework': 'share_encoder'}, 'private_layers=3: .*=share_encoder'),
        ({'time': 'frames', 'positions': 'learned'}, 'a table of learned'),
        ({'causal': True, 'encoder': 'bilstm'}, 'bilstm reads later frames'),
        ({'causal': True, 'encoder': 'fft'}, 'fft reads later frames'),
        ({'encoder': 'tcn', 'kernel_size': 4}, 'kernel_size=4: a centred tcn'),
        ({'tasks': ''}, 'no task is trained'),
        ({'tasks': 'valence,joy'}, r"model\.tasks: unknown value 'joy'"),
        ({'tasks': 'au,au'}, 'names au twice'),
        ({'linear_heads': 'joy'}, r"linear_heads: unknown value 'joy'"),
        ({'va_features': 10}, r"va_features=10: .* encoder 'none'"),
        ({'feedback': 'x'}, 'none, hidden, label, output'),
        ({'feed_missing': 'x'}, 'prediction, zero'),
        ({'feedback': 'hidden', 'feed_target': ''}, 'at least one task'),
        ({'feedback': 'hidden', 'feed_source': ''}, 'at least one task'),
        # 'a' is a substring of 'au' and not a task.
        ({'feedback': 'hidden', 'feed_target': 'a'}, "unknown value 'a'"),
        (
            {'feedback': 'hidden', 'feed_source': 'arousal,au'},
            'arousal is also in feed_target',
        ),
        (
            {'feedback': 'label', 'tasks': 'arousal,au'},
            r'feed_source=valence,au: valence is not trained; add it to',
        ),
    ],
)
def test_wrong_options_give_a_message(options, message):
  with pytest.raises(errors.InputError, match=message):
    make(**options)


def test_the_head_width_divides_a_private_encoder():
  model = temporal_models.make(feed_target='expression', hidden_dims=(6,))
  with pytest.raises(
      errors.InputError, match='encoder of expression has width 28'
  ):
    temporal_models.weights(model)


def test_encoders_get_the_options_of_the_config():
  keys = {'dim': 64, 'depth': 3, 'encoder_dropout': 0.2, 'num_heads': 8}
  gru = make(encoder='gru', **keys).encoder
  assert gru == recurrent.RecurrentEncoder('gru', 64, 3, 0.2)
  lstm = make(encoder='bilstm', carry_backward=True, **keys).encoder
  assert (lstm.cell, lstm.bidirectional, lstm.carry_backward) == (
      'lstm',
      True,
      True,
  )
  assert make(encoder='fft', **keys).encoder == fft_encoder.FFTEncoder(
      64, 3, 8, 0.2
  )
  causal = make(causal=True, norm='pre', mask_padding=False, **keys).encoder
  assert causal == transformers.TransformerEncoder(
      64, 3, 8, 2048, dropout=0.2, causal=True, norm='pre', mask_padding=False
  )


def test_names_are_separated_by_commas():
  found = choices.names(('a', 'b', 'c'), ' c, a,', 'key')
  assert found == ('c', 'a')
  assert choices.names(('a',), '', 'key') == ()
