/**
 * Signals on their way from home to the destination, and the deputies that stand in for the
 * processes at home: same PID, same parent; they take the signals, stop, go on and end as the real
 * processes do.
 */
package dev.exile.signals;
