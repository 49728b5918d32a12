"""A sandbox whose jobs wait until processors, memory and GPUs are free for them.

Jobs start in the order in which they came. One may start before an earlier one only with what the earlier one does not
need, so a large job is never delayed by later ones, and none waits forever. Low-priority jobs stand behind all others:
they start only with what no waiting job needs, or with the processors that are spared for them. A job that has started
is not interrupted.
"""

import asyncio
import os
from dataclasses import dataclass, replace

from pydantic import Field

from machine_learning_engineering.shared_libraries.errors import QueueFull, SandboxUnavailable
from machine_learning_engineering.shared_libraries.execution.sandbox import Sandbox
from machine_learning_engineering.shared_libraries.records import Execution, Job, Record


class Capacity(Record):
    """What all running jobs may take together, and how many may wait."""

    cpus: int = Field(ge=1)
    memory_bytes: int | None = Field(None, gt=0, description="None: memory is not counted")
    gpus: int = Field(0, ge=0)
    spare_cpus: int = Field(0, ge=0, description="further processors, for low-priority jobs that yield to the others")
    waiting: int = Field(1024, ge=0, description="jobs that may wait; one more raises QueueFull")


@dataclass(frozen=True)
class Resources:
    """What a job takes, or what is free."""

    cpus: int
    memory_bytes: int = 0
    gpus: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(self.cpus + other.cpus, self.memory_bytes + other.memory_bytes, self.gpus + other.gpus)

    def minus(self, other: "Resources") -> "Resources":
        """What is left after `other`, never below nothing."""
        return Resources(
            max(self.cpus - other.cpus, 0),
            max(self.memory_bytes - other.memory_bytes, 0),
            max(self.gpus - other.gpus, 0),
        )

    def fits(self, room: "Resources") -> bool:
        return self.cpus <= room.cpus and self.memory_bytes <= room.memory_bytes and self.gpus <= room.gpus


@dataclass(eq=False)
class _Waiter:
    needs: Resources
    started: asyncio.Future[None]
    from_spare: bool = False

    @property
    def from_free(self) -> Resources:
        """What it takes of that which all jobs share."""
        return replace(self.needs, cpus=0) if self.from_spare else self.needs


class ScheduledSandbox:
    """Runs jobs in another sandbox as soon as there is room; a job larger than the capacity runs alone.

    Raises: SandboxUnavailable for more GPUs than this process may see.
    """

    def __init__(self, inner: Sandbox, capacity: Capacity) -> None:
        self._inner, self._capacity = inner, capacity
        self._free = Resources(capacity.cpus, capacity.memory_bytes or 0, capacity.gpus)
        self._spare_cpus = capacity.spare_cpus
        self._devices = _gpu_devices(capacity.gpus)
        self._normal: list[_Waiter] = []
        self._low: list[_Waiter] = []

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def enforces_seal(self) -> bool:
        return self._inner.enforces_seal

    @property
    def free(self) -> Resources:
        """What no running job has taken."""
        return self._free

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return sum(not waiter.started.cancelled() for waiter in (*self._normal, *self._low))

    async def warm_up(self, threads: int) -> None:
        await self._inner.warm_up(threads)

    async def run(self, job: Job) -> Execution:
        """The execution of a job by the inner sandbox, once there is room.

        Raises: QueueFull if too many jobs wait already; SandboxUnavailable if the job asks for more GPUs than exist.
        """
        needs = self._needs(job)
        taken = await self._take(needs, self._low if job.low_priority else self._normal)
        devices = tuple(self._devices[: needs.gpus])
        del self._devices[: needs.gpus]
        try:
            return await self._inner.run(replace(job, devices=devices))
        finally:
            self._devices += devices
            self._give_back(taken)

    async def close(self) -> None:
        await self._inner.close()

    def _needs(self, job: Job) -> Resources:
        total, gpus = self._capacity, job.limits.gpus
        if gpus > total.gpus:
            raise SandboxUnavailable(f"{job.name} asks for {gpus} GPUs, of which there are {total.gpus}; ask for fewer")
        memory = min(job.limits.memory_bytes or 0, total.memory_bytes or 0)
        return Resources(min(job.limits.threads, total.cpus), memory, gpus)

    async def _take(self, needs: Resources, queue: list[_Waiter]) -> _Waiter:
        waiter = _Waiter(needs, asyncio.get_running_loop().create_future())
        queue.append(waiter)
        self._start_what_fits()
        if waiter in queue and self.waiting > self._capacity.waiting:
            queue.remove(waiter)
            raise QueueFull(f"{self._capacity.waiting} jobs wait already; hand in fewer at once")
        try:
            await waiter.started
        except asyncio.CancelledError:
            if waiter in queue:
                queue.remove(waiter)
                self._start_what_fits()
            else:  # it had just been given its room
                self._give_back(waiter)
            raise
        return waiter

    def _give_back(self, taken: _Waiter) -> None:
        if taken.from_spare:
            self._spare_cpus += taken.needs.cpus
        self._free += taken.from_free
        self._start_what_fits()

    def _start_what_fits(self) -> None:
        """Starts every waiter that fits into what is free and not needed by those before it."""
        room = self._free
        for queue in (self._normal, self._low):
            for waiter in list(queue):
                if waiter.started.cancelled():  # its task has not noticed yet
                    continue
                if not waiter.needs.fits(room) and queue is self._low:
                    waiter.from_spare = waiter.needs.fits(replace(room, cpus=self._spare_cpus))
                if waiter.from_spare or waiter.needs.fits(room):
                    queue.remove(waiter)
                    self._free = self._free.minus(waiter.from_free)
                    self._spare_cpus -= waiter.needs.cpus * waiter.from_spare
                    waiter.started.set_result(None)
                room = room.minus(waiter.from_free)


def _gpu_devices(count: int) -> list[str]:
    """The first GPUs of those that this process may see, by the names that CUDA knows them by."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    if visible and len(visible) < count:
        raise SandboxUnavailable(
            f"{count} GPUs are to be used, but CUDA_VISIBLE_DEVICES names {len(visible)}. Lower MLE_GPUS."
        )
    return (visible or [str(number) for number in range(count)])[:count]
