// Package schedule says when a message is due that is to be sent later, once or
// again and again. It is pure.
//
// A producer asks with headers of ActiveMQ's names and meaning:
//
//	AMQ_SCHEDULED_DELAY   milliseconds from now to the first time
//	AMQ_SCHEDULED_PERIOD  milliseconds from one time to the next
//	AMQ_SCHEDULED_REPEAT  how often it is sent again after the first time, -1 for ever
//	AMQ_SCHEDULED_CRON    minute, hour, day of month, month, day of week
//
// Without a delay the first time is after one period. With cron and no repeat
// the message is sent at every time that fits, the first time later by the
// delay. With cron and repeat each such time begins a series of its own, of
// delay, period and repeat.
package schedule
