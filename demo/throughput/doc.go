// Package throughput measures how many messages a STOMP broker takes and gives
// per second, and what its processes spend on one. Any broker that speaks STOMP
// can be measured, so that two of them stand side by side in one run.
//
// A figure of one run on a busy machine says little. So the targets of a plan
// take turns, round by round, beside the raw limit of the disk (Raw), and what
// counts is the ratio of their medians.
//
// A message counts when its receipt has come (publish), or when the receipt of
// its acknowledgement has (consume, both). What is sent before the clock runs,
// to warm up or to fill a queue, does not count.
//
// Threads: of each workload one goroutine per producer and the clients' own.
// All end before Run returns.
package throughput
