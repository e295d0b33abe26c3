"""What each sub-step of one distillation update says in words, with its numbers."""

from ..figures.stepper import Update

ANSWERS = {
    "exact": "the exact posterior mean",
    "learned": "a trained denoiser's guess",
    "one sample": "the very x that the noise was added to",
}


def noisy_point(u: Update, teacher: str) -> tuple[str, str]:
    return (
        f"x = {u.x:.2f} is drawn from the data and z = {u.z:.2f} from the noise: "
        f"x_t = x + t z = {u.x_t:.2f} at t = {u.t:.3g}.",
        f"Its exact path ends at {u.end:.3f}. Nobody shows the network this number.",
    )


def teachers_step(u: Update, teacher: str) -> tuple[str, str]:
    return (
        f"Asked for D, the teacher gives {ANSWERS[teacher]}, and the solver steps to "
        f"x_r = {u.x_r:.3f} at r = {u.r:.3g}; the exact path (circle) is at {u.on_path:.3f}.",
        f"The path through x_r ends at {u.end_r:.3f} in place of {u.end:.3f}: "
        f"this step alone costs {abs(u.end_r - u.end):.2g}.",
    )


def online_answer(u: Update, teacher: str) -> tuple[str, str]:
    return (
        f"The student answers {u.f_t:.3f} at x_t, {abs(u.f_t - u.end):.2g} from the exact end.",
        "This is the answer that learns: its gradient is kept.",
    )


def held_target(u: Update, teacher: str) -> tuple[str, str]:
    return (
        f"The same network answers {u.f_r:.3f} at x_r, "
        f"{abs(u.f_r - u.end_r):.2g} from the end of the path through x_r.",
        "θ⁻ = θ, but no gradient flows here: for this update the target is a fixed number.",
    )


def pull(u: Update, teacher: str) -> tuple[str, str]:
    gap, before, after = u.f_t - u.f_r, abs(u.f_t - u.end), abs(u.f_r - u.end)
    where = "nearer to" if after < before else "farther from"
    return (
        f"Loss (f_θ − f_θ⁻)² = {gap**2:.2g}; its gradient in the online answer is {2 * gap:+.2g}, "
        f"so the update moves it {'down' if gap > 0 else 'up'}, towards the target.",
        f"At the target it would be {after:.2g} from the exact end, and it is {before:.2g} now: "
        f"this draw pulls {where} the truth.",
    )


WORDS = (noisy_point, teachers_step, online_answer, held_target, pull)
