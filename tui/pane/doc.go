// Package pane holds the parts of the screen: the table of apps, the list of
// streams, the chunk lanes, the log, help. A pane is a plain struct that is
// given data, keys and a size, and renders itself to text of exactly that
// size. It starts nothing, asks nobody and reads no clock.
package pane
