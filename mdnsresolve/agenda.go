package mdnsresolve

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// agenda is what is to be done later, the earliest first.
type agenda struct {
	mu    sync.Mutex
	tasks tasks
	wake  chan struct{} // holds one token when an earlier task has come
}

type task struct {
	at time.Time
	do func()
}

func newAgenda() *agenda { return &agenda{wake: make(chan struct{}, 1)} }

// after has do called once d has passed, by run's goroutine.
func (a *agenda) after(d time.Duration, do func()) {
	t := task{time.Now().Add(d), do}
	a.mu.Lock()
	heap.Push(&a.tasks, t)
	first := a.tasks[0].at.Equal(t.at)
	a.mu.Unlock()
	if first {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

// run does the tasks one after the other until ctx ends.
func (a *agenda) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-timer.C:
		}
		for ctx.Err() == nil {
			do, wait := a.next(time.Now())
			if do == nil {
				timer.Reset(wait)
				break
			}
			do()
		}
	}
}

// next gives a task that is due, or how long there is none.
func (a *agenda) next(now time.Time) (do func(), wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.tasks) == 0 {
		return nil, time.Hour
	}
	if wait := a.tasks[0].at.Sub(now); wait > 0 {
		return nil, wait
	}
	t, _ := heap.Pop(&a.tasks).(task)
	return t.do, 0
}

// tasks is a heap for container/heap.
type tasks []task

func (t *tasks) Len() int           { return len(*t) }
func (t *tasks) Less(i, j int) bool { return (*t)[i].at.Before((*t)[j].at) }
func (t *tasks) Swap(i, j int)      { (*t)[i], (*t)[j] = (*t)[j], (*t)[i] }

// Push adds x; for container/heap.
func (t *tasks) Push(x any) {
	if x, ok := x.(task); ok {
		*t = append(*t, x)
	}
}

// Pop takes the last; for container/heap.
func (t *tasks) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	(*t)[last] = task{}
	*t = (*t)[:last]
	return x
}
