package broker

// UnsettledSlots is the length of the list of deliveries, settled ones among
// them included.
func (c *Subscription) UnsettledSlots() int {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	return len(c.unsettled)
}
