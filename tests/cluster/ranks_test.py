"""Models on several ranks, which MPI's launcher starts here: the same bytes, whatever the number; and ranks that do
not fit together, that die, and that stop. With RANKS=all every number of ranks for every model.

usage: ranks_test.py GYR STATEFUL_MODELS IMPOSTOR
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "house"))
from house import Skip, run  # noqa: E402

GYR, MODELS, IMPOSTOR = (str(Path(p).resolve()) for p in sys.argv[1:4])
FOLDER = tempfile.TemporaryDirectory()
# A mixture; states beside attention; a state alone; an indexer and latent attention; windows and chunks.
NAMES = ("mixtral", "falcon-h1", "mamba", "deepseek-v3.2", "llama4")
ALL = os.environ.get("RANKS") == "all"
COUNTS = {"poet": (1, 2, 7), "mixtral": (5,), "falcon-h1": (4,), "deepseek-v3.2": (3,)}
MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
       "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
       "OMPI_MCA_plm_rsh_agent": "", "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}
ENV = {k: v for k, v in os.environ.items() if k not in ("GYR_MODEL", "GYR_RANK_TIMEOUT")} | MPI
SAMPLED = ("-n", "40", "--seed", "7", "--temperature", "1", "--ignore-end", "-t", "1")
PROMPT = "Write a poem about San Francisco, its hills and its fog, the bay and the bridge that spans it"


def launcher():
    """mpirun, or why there is none that this gyr could be started by."""
    path = shutil.which("mpirun")
    modules = [p.name for p in Path(GYR).parent.glob("gyr-*mpi*.so")]
    if not path or not modules:
        missing = "a launcher (mpirun)" if not path else "gyr's module for MPI"
        raise Skip(f"NOTHING OF SEVERAL RANKS IS TRIED HERE: {missing} is missing; see docs/clusters.md")
    return path


def start(*parts, env=None, **options):
    """mpirun of several commands: (count, program, argument...)."""
    words = []
    for n, *command in parts:
        words += [":"] * bool(words) + ["-n", str(n), *map(str, command)]
    return subprocess.Popen([launcher(), *words], env=ENV | (env or {}), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def ended(p):
    try:
        out, err = p.communicate(timeout=100)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        return "hung", out, err
    return p.returncode, out, err


def model(name):
    """The arguments that choose a model, which is written when it is first asked for."""
    if name == "poet":
        return ()
    path = Path(FOLDER.name) / f"{name}.gguf"
    if not path.exists():
        subprocess.run([MODELS, FOLDER.name, name], check=True)
    return ("-m", str(path), "--raw")


def alone(*arguments):
    p = subprocess.run([GYR, "run", *arguments], env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=100, check=True)
    return p.stdout


def the_bytes_do_not_depend_on_the_number_of_ranks():
    problems = []
    launcher()
    for name in ("poet", *NAMES):
        arguments = (*model(name), *SAMPLED, PROMPT)
        counts = (1, 2, 3, 4, 5, 7) if ALL else COUNTS.get(name, ())
        want = alone(*arguments) if counts else ""
        for n in counts:
            status, out, err = ended(start((n, GYR, "run", *arguments)))
            if status or out != want:
                problems.append(f"{name} on {n} ranks: status {status}, {out!r}, not {want!r}; {err}")
    return problems


def sessions_share_pages_and_states_on_all_ranks():
    """Many sequences, forked from one: what bench computes, of whose bytes only their number is told."""
    problems = []
    launcher()
    for name in ("poet", "falcon-h1"):
        more = model(name)[:2]
        status, out, err = ended(start((3, GYR, "bench", *more, "-p", 40, "-n", 3, "-b", "1,5", "--repeat", 1, "-t", 1)))
        if status or "decode 5 x 3" not in out:
            problems.append(f"{name}: status {status}, {out}{err}")
    return problems


def refusal(status, text, *parts, env=None):
    got, out, err = ended(start(*parts, env=env))
    lines = [line for line in err.splitlines() if line.startswith("gyr: ")]
    if got == status and len(lines) == 1 and text in lines[0] and not out:
        return []
    return [f"{parts}: status {got}, not {status}, or not only {text!r}: {out!r} {err}"]


def ranks_that_do_not_fit_together_are_refused():
    run_ = (1, GYR, "run", "-n", 4, "hello")
    other = (1, GYR, "run", *model("mixtral"), "hello")
    strange = ((5, "rank 1 on elsewhere: is gyr 9.9.9, and rank 0 is gyr", run_, (1, IMPOSTOR, "version")),
               (5, "rank 2 on elsewhere: computes by edition", (2, *run_[1:]), (1, IMPOSTOR, "edition")),
               (5, "rank 1 on elsewhere: has another byte order", run_, (1, IMPOSTOR, "order")),
               (5, "is not the same version of gyr", run_, (1, IMPOSTOR, "stranger")))
    launcher()
    module = {"GYR_MPI_MODULE": str(next(Path(GYR).parent.glob("gyr-openmpi.so"), ""))}  # the impostor is elsewhere
    problems = [p for case in strange for p in refusal(*case, env=module)]
    return problems + refusal(2, "has opened another model than rank 0", run_, other)


def what_is_wrong_on_one_rank_ends_all():
    run_ = (1, GYR, "run", "-n", 4, "hello")
    return (refusal(3, "/nowhere.gguf: No such file", run_, (1, GYR, "run", "-m", "/nowhere.gguf", "hello"))
            + refusal(3, "/nowhere.gguf: No such file", (1, GYR, "run", "-m", "/nowhere.gguf", "hello"), run_)
            + refusal(2, "--foo: no such option", (3, GYR, "run", "--foo", "hello"))
            + refusal(2, "serve: does not run on several ranks", (2, GYR, "serve"))
            + refusal(2, "--adapter: gyr run takes none on several", (2, GYR, "run", "--adapter", "x", "hello"))
            + refusal(7, "tokens do not fit", (2, GYR, "run", "-c", 8, PROMPT)))


def rank_process(p, rank):
    """The process that is this rank, of those that mpirun has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            told = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == str(p.pid) and f"OMPI_COMM_WORLD_RANK={rank}".encode() in told:
            return int(folder.name)
    return None


def struck(rank, how, env=None):
    """What becomes of an answer when a signal hits a rank in the middle of it."""
    p = start((3, GYR, "run", "-n", 100000, "--ignore-end", "-t", 1, PROMPT), env=env)
    if p.stdout.read(1) == "":
        return (*ended(p)[:2], "nothing was written")
    pid = rank_process(p, rank)
    if pid is None:
        p.kill()
        return (*ended(p)[:2], "there is no such rank")
    os.kill(pid, how)
    return ended(p)


def a_killed_rank_is_named_and_ends_all():
    status, _, err = struck(1, signal.SIGKILL)
    return [] if status not in (0, "hung") and "rank 1" in err else [f"status {status}: {err}"]


def a_stopped_rank_is_named_and_ends_all():
    problems = []
    for rank in (2, 0):
        status, _, err = struck(rank, signal.SIGSTOP, {"GYR_RANK_TIMEOUT": "8"})
        if status != 8 or f"gyr: rank {rank} on " not in err or "no sign of life for 8 s" not in err:
            problems.append(f"rank {rank}: status {status}: {err}")
    return problems


def without_its_module_a_started_program_says_so():
    status, out, err = ended(start((2, GYR, "run", "hello"), env={"GYR_MPI_MODULE": "/nowhere.so"}))
    lines = [line for line in err.splitlines() if line.startswith("gyr: ")]
    ok = status == 5 and not out and len(lines) == 1 and "gyr's module for MPI is not here" in lines[0]
    return [] if ok else [f"status {status}: {out}{err}"]


if __name__ == "__main__":
    run(the_bytes_do_not_depend_on_the_number_of_ranks, sessions_share_pages_and_states_on_all_ranks,
        ranks_that_do_not_fit_together_are_refused, what_is_wrong_on_one_rank_ends_all,
        a_killed_rank_is_named_and_ends_all, a_stopped_rank_is_named_and_ends_all,
        without_its_module_a_started_program_says_so)
