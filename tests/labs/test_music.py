"""Sound and back, the corpus's notes, the measures of music, and MusicCM's loss."""

import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from cmlab_labs.lab15_music import analysis
from cmlab_labs.lab15_music.data import (
    BEAT,
    BEATS,
    CHORDS,
    COLUMNS,
    LOOPS,
    PlayedNote,
    Sound,
    Tunes,
    cents,
    hertz,
    mix_notes,
    pluck,
    string,
    wav,
    write_wav,
)
from cmlab_labs.lab15_music.networks import (
    MusicCritic,
    MusicCriticShape,
    NoteDetector,
    StripUNetShape,
    load_note_detector,
)

from cmlab.data.digits import Unlabelled
from cmlab.data.toy import TwoGaussians
from cmlab.methods import CD, MusicCM
from cmlab.methods.critic import Critic
from cmlab.methods.ict import InverseGap, PseudoHuber
from cmlab.metrics.toy import rmse_by_level, truth
from cmlab.model import CMPrecond, Denoiser, EDMPrecond
from cmlab.nets import MLP
from cmlab.nets.critic import PointCriticShape
from cmlab.noise_levels import AdjacentLevels, KarrasGrid, LogNormal, UniformIndex
from cmlab.ops import seeded
from cmlab.presets import PRESETS
from cmlab.sampling import ddim
from cmlab.schedules import Constant, WarmupCosine
from cmlab.teacher import EMATarget, Guided, NetworkTeacher, OracleTeacher
from cmlab.train.config import Adam, TrainConfig
from cmlab.train.recipe import from_dict, to_dict
from cmlab.train.trainer import Trainer

SOUND, FEW = Sound(), Tunes(pieces=2)
PAIRS = AdjacentLevels(Constant(12), UniformIndex(KarrasGrid(0.02, 40.0)))


def strongest(audio, near):
    """The loudest frequency within a fifth of a semitone range around `near`, in Hz."""
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 1 << 18))
    frequency = np.fft.rfftfreq(1 << 18, 1 / SOUND.rate)
    at = (frequency > near * 0.94) & (frequency < near * 1.06)
    return frequency[at][spectrum[at].argmax()]


# ── the corpus ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("pitch", [60, 64, 69, 76, 83, 88])
def test_a_string_sounds_within_20_cents_of_the_note_asked(pitch):
    for number in range(3):
        found = strongest(string(pitch, number, SOUND.rate), hertz(pitch))
        assert abs(cents(found, hertz(pitch))) < 2  # 20 would do


def test_hertz_and_cents_agree_with_the_tuning_fork():
    assert hertz(69) == 440 and hertz(57) == 220
    assert cents(hertz(61), hertz(60)) == pytest.approx(100)


def test_a_string_dies_away_and_its_high_tones_first():
    noise = np.random.default_rng(0).standard_normal(30)
    sound = pluck(60, 1.0, SOUND.rate, noise - noise.mean())
    early, late = sound[200:1200], sound[5000:6000]
    assert np.abs(late).max() < 0.3 * np.abs(early).max()
    share = [np.square(np.diff(part)).sum() / np.square(part).sum() for part in (early, late)]
    assert share[1] < share[0]


def test_the_corpus_is_a_function_of_its_seed():
    again = Tunes(pieces=2)
    assert again.scores == FEW.scores and torch.equal(again.pictures, FEW.pictures)
    assert Tunes(pieces=2, seed=1).scores != FEW.scores
    assert Tunes(train=False, pieces=2).scores != FEW.scores


def test_clips_have_the_shape_labels_and_spread_that_they_say():
    x, labels = FEW.sample(64, torch.Generator().manual_seed(0))
    assert x.shape == (64, *FEW.shape) == (64, 1, 40, COLUMNS)
    assert sorted(set(labels.tolist())) == list(range(FEW.classes))
    whole = Tunes()
    assert abs(float(whole.pictures.mean())) < 0.02
    assert whole.sigma_data == pytest.approx(1, abs=0.02)


def test_the_rolls_say_what_sounds():
    for label in range(FEW.classes):
        roll = FEW.rolls[label * FEW.pieces]
        assert roll.shape == (BEAT * BEATS, 128)
        chords = {
            name
            for column in (BEAT // 2 - 2, BEAT + BEAT // 2 - 2, 3 * BEAT - 2)
            for name, notes in CHORDS.items()
            if bool(roll[column, list(notes)].all())
        }
        assert chords <= set(LOOPS[label]) and chords


def test_a_note_is_in_the_picture_where_the_roll_has_it():
    audio = mix_notes([PlayedNote(0.5, 0.5, 69, 1.0)], 2.0, SOUND.rate)
    x = SOUND.picture(audio)
    band = int(SOUND.filters()[:, round(440 / SOUND.rate * SOUND.window)].argmax())
    inside, outside = round(0.75 / SOUND.seconds), round(1.5 / SOUND.seconds)
    assert x[band, inside] > 1 and x[band, inside] == x[:, inside].max()
    assert x[band, outside] == x.min()


def test_labels_are_kept_back_for_the_teacher():
    _, labels = Unlabelled(FEW, 0.5).sample(400)
    assert 0.4 < float((labels == FEW.classes).double().mean()) < 0.6


# ── sound and back ──────────────────────────────────────────────────────────────────────────────


def test_from_picture_to_sound_and_back_errs_by_less_than_6_decibels():
    for piece in (0, 3, 6):
        x = FEW.pictures[piece][:, 20:84]
        again = SOUND.picture(SOUND.audio(x))
        assert again.shape == x.shape
        error = (again - x) * SOUND.spread
        assert float(error.square().mean().sqrt()) < 6.5  # 3.6 to 5.3 dB were seen
        assert float(error.abs().mean()) < 3.5


def test_the_way_back_keeps_the_loudest_note():
    x = SOUND.picture(mix_notes([PlayedNote(0.0, 1.0, 76, 1.0)], 2.0, SOUND.rate))
    found = strongest(SOUND.audio(x)[:8000], hertz(76))
    assert abs(cents(found, hertz(76))) < 60  # bands are that wide


def test_a_picture_has_one_column_every_hop():
    assert SOUND.picture(np.zeros(1000, np.float32)).shape == (40, 4)
    assert SOUND.columns(2.0) == 63 and SOUND.picture(np.zeros(16000)).shape[1] == 63


def test_silence_is_the_lowest_value_and_stays_silent():
    x = SOUND.picture(np.zeros(4000, np.float32))
    assert float(x.max()) == pytest.approx((SOUND.quiet - SOUND.centre) / SOUND.spread, abs=1e-6)
    assert np.abs(SOUND.audio(x)).max() == 0


def test_a_wav_holds_the_samples_in_16_bits(tmp_path):
    audio = np.sin(np.arange(800) / 5).astype(np.float32) / 2
    found, rate = soundfile.read(io.BytesIO(wav(audio, 8000)))
    assert rate == 8000 and np.abs(found - audio).max() < 1e-4
    write_wav(tmp_path / "a.wav", audio, 8000)
    assert (tmp_path / "a.wav").read_bytes() == wav(audio, 8000)


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: SOUND.picture(np.zeros(0)), "one row of samples"),
        (lambda: SOUND.picture(np.zeros((2, 800))), "mix it to mono"),
        (lambda: SOUND.picture(np.zeros(800), rate=44100), "resample it to 8000 Hz"),
        (lambda: SOUND.picture(np.array([0.0, np.nan])), "not finite"),
        (lambda: SOUND.audio(torch.zeros(1, 40, 8)), "without batch and channel"),
        (lambda: SOUND.audio(torch.zeros(39, 8)), "without batch and channel"),
        (lambda: wav(np.zeros(0), 8000), "one row of samples"),
        (lambda: mix_notes([], 0.0, 8000), "is empty"),
        (lambda: pluck(110, 1.0, 8000, np.zeros(3)), "needs a rate above"),
    ],
)
def test_what_is_no_clip_is_refused_in_one_sentence(act, message):
    with pytest.raises(ValueError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)


def test_librosa_is_imported_only_when_sound_is_made():
    code = "import sys, cmlab_labs.lab15_music.data; assert 'librosa' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# ── the measures ────────────────────────────────────────────────────────────────────────────────


def test_spectral_distance_is_zero_to_itself_small_to_the_corpus_large_to_noise():
    x = analysis.held_out()
    clips, labels = Tunes().sample(256, torch.Generator().manual_seed(5))
    floor, blurred = analysis.spectral_distance(clips, x), clips.roll(1, 3) / 2 + clips / 2
    assert analysis.spectral_distance(x, x) < 1e-6
    assert 4 * floor < analysis.spectral_distance(torch.randn_like(clips), x)
    assert floor < analysis.spectral_distance(blurred, x)
    with pytest.raises(ValueError, match="no clips"):
        analysis.spectral_distance(clips[:0], x)


def test_pitch_accuracy_knows_the_right_loop_from_another():
    clips, labels = Tunes(train=False).sample(128, torch.Generator().manual_seed(5))
    assert analysis.pitch_accuracy(clips, labels) > 0.95
    assert analysis.pitch_accuracy(clips, (labels + 1) % 4) < 0.4


def test_the_chords_of_a_loop_follow_each_other_every_16_columns():
    rows = analysis.chords_of(torch.tensor([1]), 4, COLUMNS)[0]
    names = [analysis.NAMES[i] for i in rows]
    assert names[:12] == ["C"] * 12 and names[12:28] == ["Am"] * 16 and names[60:] == ["C"] * 4


def test_seam_error_is_the_jump_at_the_border_over_the_jumps_elsewhere():
    x = torch.arange(12.0).repeat(3, 1)[None, None].clone()
    assert analysis.seam_error(x, [4, 8]) == pytest.approx(1)
    x[..., 6:] += 2
    assert analysis.seam_error(x, [6]) == pytest.approx(3)
    with pytest.raises(ValueError, match="no seam"):
        analysis.seam_error(x, [])


# ── MusicCM ─────────────────────────────────────────────────────────────────────────────────────


def small(classes=5, seed=0):
    torch.manual_seed(seed)
    model = Denoiser(StripUNetShape(width=16, levels=2, classes=classes).build(), EDMPrecond(1.0))
    for weight in model.parameters():  # the last layers start at 0, and would hide a slip
        torch.nn.init.normal_(weight, std=0.1)
    return model


def loss_of(method, model, seed=3):
    x, cond = FEW.sample(4, torch.Generator().manual_seed(1))
    torch.manual_seed(seed)
    return method.loss(model, x, 0, cond)


def target_of(model):
    target = EMATarget(Constant(0.95))
    target.attach(small(seed=7))
    return target


def test_without_critic_and_guidance_musiccm_is_cd_with_ddim_on_the_same_pairs():
    model, teacher = small(), small(seed=5)
    metric = PseudoHuber(1e-3)
    cd = CD(NetworkTeacher(teacher), ddim, PAIRS, metric, target=target_of(model))
    mine = MusicCM(
        Guided(NetworkTeacher(teacher), 0.0, 4),
        pairs=PAIRS,
        metric=metric,
        target=target_of(model),
        distil=1.0,
    )
    torch.testing.assert_close(loss_of(mine, model), loss_of(cd, model))
    torch.testing.assert_close(loss_of(replace(mine, distil=3.0), model), 3 * loss_of(cd, model))


def test_a_critic_that_counts_for_nothing_leaves_the_students_gradient_as_it_is():
    model, teacher = small(), small(seed=5)
    grads = []
    for critic in (None, Critic(MusicCriticShape(8, 5), gamma=0.1)):
        target = target_of(model)
        method = MusicCM(Guided(NetworkTeacher(teacher), 2.0, 4), pairs=PAIRS, target=target,
                         critic=critic, share=0.0)  # fmt: skip
        if critic:
            critic.attach(model)
        model.zero_grad()
        loss_of(method, model).mean().backward()
        grads.append(torch.cat([w.grad.flatten() for w in model.parameters()]))
    torch.testing.assert_close(*grads)


def test_the_critic_hears_data_as_real_and_the_students_answer_as_fake():
    heard = []

    class Listening(Critic):
        def __call__(self, real, fake, level, cond=None):
            heard.append((real, fake, level))
            return super().__call__(real, fake, level, cond)

    model, critic = small(), Listening(MusicCriticShape(8, 5), gamma=0.1)
    critic.attach(model)
    method = MusicCM(
        NetworkTeacher(small(seed=5)), pairs=PAIRS, target=target_of(model), critic=critic
    )
    loss_of(method, model).mean().backward()
    ((real, fake, level),) = heard
    assert torch.equal(real, FEW.sample(4, torch.Generator().manual_seed(1))[0])
    assert fake.requires_grad and not level.any()
    assert all(w.grad is None for w in critic.attached().ear.parameters())
    assert all(w.grad is not None for w in critic.attached().heads.parameters())


def test_musiccm_learns_the_exact_consistency_function_beside_a_critic():
    data = TwoGaussians()
    grid = KarrasGrid(data.sigma_min, data.sigma_max)
    levels = LogNormal(-1.1, 2.0, data.sigma_min, data.sigma_max)
    method = MusicCM(
        OracleTeacher(data),
        pairs=AdjacentLevels(Constant(41), levels, grid),
        metric=PseudoHuber(),
        weight=InverseGap(),
        critic=Critic(PointCriticShape(2, 32), gamma=0.1),
        share=0.1,
        target=EMATarget(Constant(0.95)),
    )
    with seeded(torch.device("cpu"), 0):
        model = Denoiser(MLP(2, width=64), CMPrecond(data.sigma_data, data.sigma_min))
    config = TrainConfig(500, 128, Adam(4e-3, 0.9, 0.99), WarmupCosine(500, 20), Constant(0.98))
    trained = Trainer(model, method, data, config).fit().ema.model
    exact = truth(data)
    off = rmse_by_level(trained, trained.process, exact).square().mean().sqrt()
    assert float(off) < 0.4  # untrained 0.60


def test_the_ear_reads_most_notes_and_is_frozen():
    data, ear = Tunes(train=False, pieces=2), load_note_detector()
    found = ear(data.pictures[:, None]) > 0
    true = data.rolls[..., 60:89].transpose(1, 2)
    assert float((found == true).double().mean()) > 0.98
    assert not any(w.requires_grad for w in ear.parameters())


def test_the_heads_see_every_layer_and_the_label():
    torch.manual_seed(0)
    critic, x = MusicCritic(NoteDetector(), 8, 5), torch.randn(3, 1, 40, 16)
    c, label = torch.zeros(3), torch.tensor([0, 1, 4])
    assert critic(x, c, label).shape == (3,) and len(critic.heads) == 3
    assert not torch.equal(critic(x, c, label), critic(x, c, label.flip(0)))


def test_the_network_takes_clips_of_any_length_that_divides():
    net = StripUNetShape(width=16, levels=3, classes=5).build()
    t, label = torch.zeros(2), torch.tensor([0, 4])
    assert net(torch.randn(2, 1, 40, 24), t, label).shape == (2, 1, 40, 24)
    for shape in ((2, 1, 40, 22), (2, 1, 39, 24), (2, 3, 40, 24)):
        with pytest.raises(ValueError, match="columns a multiple of 4"):
            net(torch.zeros(shape), t, label)


@pytest.mark.parametrize("name", ["music.edm", "music.cd"])
def test_a_music_recipe_survives_its_record(name):
    recipe = PRESETS[name](steps=10, seed=1)
    assert to_dict(from_dict(to_dict(recipe))) == to_dict(recipe)
