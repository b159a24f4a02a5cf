"""Rows for a card that reads them faster than Python writes them: processes draw without end, the card keeps all that came.

A step takes rows that were never taken before, as far as there are any, and else rows of those that it has, by chance. So a step
never waits, and a slow machine repeats itself instead.
"""
import multiprocessing
import os
import queue

import numpy as np
import torch

import data

CHUNK = 64              # rows that travel together


def draw(number, sampler, tokenizer, size, out, seed):
    """A process: rows of size.value + 1 tokens, for ever. A token that is not learned is there as its complement."""
    os.nice(5)
    torch.set_num_threads(1)
    encode = data.Encoder(tokenizer)
    sampler.rng.seed(f"{seed} {number}")
    while True:
        width = size.value
        rows = np.empty((CHUNK, width + 1), np.int16)
        for row in rows:
            ids, target = data.window(sampler, encode, width)
            row[:] = np.where(target, ids, np.invert(ids))
        out.put(rows)


class Pool:
    """The rows of one width on the card; when it is full the oldest make room."""

    def __init__(self, width, capacity, device):
        self.device, self.rows = device, torch.empty(capacity, width + 1, dtype=torch.int16, device=device)
        self.came, self.taken, self.repeated = 0, 0, 0

    def add(self, rows):
        rows = torch.from_numpy(rows)
        if self.device.type == "cuda":
            rows = rows.pin_memory()
        at = self.came % len(self.rows)         # the capacity is a multiple of CHUNK
        self.rows[at:at + len(rows)].copy_(rows, non_blocking=True)
        self.came += len(rows)
        self.taken = max(self.taken, self.came - len(self.rows))

    def take(self, count):
        """-> ids, labels [count, width]; labels are -100 where nothing is learned"""
        if self.came - self.taken >= count:
            which = (self.taken + torch.arange(count, device=self.device)) % len(self.rows)
            self.taken += count
        else:
            which = torch.randint(min(self.came, len(self.rows)), (count,), device=self.device)
            self.repeated += count
        rows = self.rows[which].long()
        ids = torch.where(rows < 0, ~rows, rows)
        return ids[:, :-1], torch.where(rows < 0, -100, rows)[:, 1:].contiguous()


class Drawers:
    """The processes, and a pool for each width."""

    def __init__(self, sampler, tokenizer, count, seed, width):
        fork = multiprocessing.get_context("fork")      # so the poems are shared; the card is not touched before
        self.size, self.out, self.pools = fork.Value("i", width, lock=False), fork.Queue(), {}
        for number in range(count):
            fork.Process(target=draw, args=(number, sampler, tokenizer, self.size, self.out, seed), daemon=True).start()

    def pool(self, width, capacity, device):
        self.pools[width] = Pool(width, capacity // CHUNK * CHUNK, device)
        return self.pools[width]

    def collect(self, most=16, wait=None):
        """Moves what was drawn to the card: at most so many chunks."""
        for _ in range(most):
            try:
                rows = self.out.get(timeout=wait) if wait else self.out.get_nowait()
            except queue.Empty:
                return
            self.pools[rows.shape[1] - 1].add(rows)
