package broker

import "baton/store/record"

// GroupBucket is what a queue remembers a group by.
func GroupBucket(id string) int32 {
	var en entry
	en.learn(&record.Message{Headers: []record.HeaderField{{Name: headerGroup, Value: id}}})
	return en.group
}

// UnsettledSlots is the length of the list of deliveries, settled ones among
// them included.
func (c *Subscription) UnsettledSlots() int {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	return len(c.unsettled)
}
