/**
 * Memory and messages that processes share by name: SysV shared memory, semaphores and message
 * queues, and files below /dev/shm (POSIX shared memory and semaphores). What the moved tree has
 * for itself travels; what it shares with those who stay is refused.
 */
package dev.exile.ipc;
