"""Starting ranks by MPI's launcher, for the tests of this folder.

Their programs are called with GYR STATEFUL_MODELS [IMPOSTOR]. With RANKS=all they try every number of ranks for every
model.
"""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "house"))
from house import Skip  # noqa: E402

GYR, MODELS = (str(Path(p).resolve()) for p in sys.argv[1:3])
FOLDER = tempfile.TemporaryDirectory()
ALL = os.environ.get("RANKS") == "all"
MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
       "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none",
       "GYR_DEVICE": "cpu", "OMPI_MCA_plm_rsh_agent": "", "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}
# Open MPI's launcher 4.1 reads what it has freed as a run that lost a rank ends: what the tests' runner has malloc()
# fill with a pattern makes it crash then.
os.environ.pop("MALLOC_PERTURB_", None)
ENV = {k: v for k, v in os.environ.items() if k not in ("GYR_MODEL", "GYR_RANK_TIMEOUT")} | MPI
TOGETHER = 4  # launchers at once: they wait more than they compute


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


def at_once(fn, cases):
    """What fn(*case) finds wrong, of all cases; some of them at a time."""
    launcher()
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
        return [p for problems in pool.map(lambda case: fn(*case), cases) for p in problems]


def model_file(name):
    """A small model of random weights, which is written when it is first asked for."""
    path = Path(FOLDER.name) / f"{name}.gguf"
    if not path.exists():
        subprocess.run([MODELS, FOLDER.name, name], check=True)
    return str(path)


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
