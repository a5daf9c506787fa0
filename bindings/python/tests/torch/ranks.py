"""Runs a function in several processes of one gloo group, and returns what each gives back."""

import datetime
import os
import socket
import traceback

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _process(rank, world, port, function, arguments, queue, timeout):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=world, timeout=datetime.timedelta(seconds=timeout))
    try:
        queue.put((rank, function(rank, world, *arguments), None))
    except Exception as error:
        queue.put((rank, None, (type(error).__name__, str(error), traceback.format_exc())))
    queue.close()
    queue.join_thread()
    os._exit(0)  # A group whose member is gone does not shut down in an orderly way.


def run(function, world, *arguments, timeout=60, answers=None):
    """`function(rank, world, *arguments)` in `world` processes: by rank its result and its error."""
    # The processes are copies of one that has imported PyTorch: they start in a fraction of the time.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "tercet.torch", "torch.nn.parallel"])
    queue, port = context.Queue(), free_port()
    processes = [context.Process(target=_process, args=(rank, world, port, function, arguments, queue, timeout)) for rank in range(world)]
    for process in processes:
        process.start()
    try:
        got = [queue.get(timeout=timeout + 60) for _ in range(world if answers is None else answers)]
    finally:
        for process in processes:
            process.join(10)
            if process.is_alive():
                process.kill()
    return {rank: (result, error) for rank, result, error in got}
