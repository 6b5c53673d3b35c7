package lab

import (
	"fmt"
	"log"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// failure is a fault with the sentence that vCenter shows for it.
type failure struct {
	fault types.BaseMethodFault
	text  string
}

func failf(fault types.BaseMethodFault, format string, args ...any) *failure {
	return &failure{fault: fault, text: fmt.Sprintf(format, args...)}
}

// soapFault is the failure as an answer to the call itself.
func (f *failure) soapFault() *soap.Fault { return simulator.Fault(f.text, f.fault) }

// wrapped gives a library fault the text that the library leaves out.
func wrapped(fault types.BaseMethodFault) *failure {
	if fault == nil {
		return nil
	}
	name := strings.TrimSuffix(reflect.TypeOf(fault).Elem().Name(), "Fault")
	text := name
	switch f := fault.(type) {
	case *types.DuplicateName:
		text = fmt.Sprintf("The name '%s' already exists.", f.Name)
	case *types.InvalidPowerState:
		text = fmt.Sprintf("The attempted operation cannot be performed in the current state (%s).", f.ExistingState)
	case *types.InvalidArgument:
		text = "A specified parameter was not correct: " + f.InvalidProperty
	case *types.ConcurrentAccess:
		text = "The resource is being accessed concurrently by another client."
	case *types.InvalidState:
		text = "The operation is not allowed in the current state."
	case *types.NotSupported:
		text = "The operation is not supported on the object."
	case *types.ManagedObjectNotFound:
		text = fmt.Sprintf("The object '%s' has already been deleted or has not been completely created.", f.Obj)
	}
	if m := fault.GetMethodFault(); m.FaultCause != nil && m.FaultCause.LocalizedMessage != "" {
		text += " " + m.FaultCause.LocalizedMessage
	}
	return &failure{fault: fault, text: text}
}

// work is what a task does; ctx is its own.
type work func(ctx *simulator.Context) (types.AnyType, *failure)

// task runs work in the background and returns the task's reference. Unlike the library's it holds no lock while it waits,
// so that reading a VM never blocks, and its error has a text that a person can read.
func (l *Lab) task(caller *simulator.Context, entity types.ManagedObjectReference, method, description string, w work) types.ManagedObjectReference {
	ctx := childContext(caller)
	t := simulator.CreateTask(entity, method, nil)
	t.Info.Name = method
	t.Info.DescriptionId = entity.Type + "." + description
	t.Info.EntityName = l.Name(entity)
	if caller.Session != nil {
		t.Info.Reason = &types.TaskReasonUser{UserName: caller.Session.UserName}
	}
	t.Self = types.ManagedObjectReference{Type: "Task", Value: fmt.Sprintf("task-%d", l.nextVersion())}
	t.Info.Key, t.Info.Task = t.Self.Value, t.Self
	started := time.Now()
	t.Info.StartTime, t.Info.State = &started, types.TaskInfoStateRunning
	l.reg.Put(t)
	name := t.Info.EntityName
	go func() {
		l.tasks.TaskDelay(method, name)
		result, failed := l.guarded(ctx, w)
		changes := []types.PropertyChange{{Name: "info.completeTime", Val: time.Now()}}
		if failed != nil {
			log.Printf("%s %s: %s", method, name, failed.text)
			changes = append(changes,
				types.PropertyChange{Name: "info.error", Val: types.LocalizedMethodFault{Fault: failed.fault, LocalizedMessage: failed.text}},
				types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateError})
		} else {
			if result != nil {
				changes = append(changes, types.PropertyChange{Name: "info.result", Val: result})
			}
			changes = append(changes, types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateSuccess})
		}
		l.reg.AtomicUpdate(ctx, t, changes)
	}()
	return t.Self
}

// guarded turns a panic into a failed task: one bad request must not end the lab.
func (l *Lab) guarded(ctx *simulator.Context, w work) (result types.AnyType, failed *failure) {
	defer func() {
		if p := recover(); p != nil {
			log.Printf("panic: %v\n%s", p, debug.Stack())
			failed = failf(&types.SystemError{}, "A general system error occurred: %v", p)
		}
	}()
	return w(ctx)
}

// FailedTask starts a task that ends with the given fault, for injected trouble.
func (l *Lab) FailedTask(session string, this types.ManagedObjectReference, method string, fault types.BaseMethodFault, text string) types.ManagedObjectReference {
	ctx := l.newContext()
	ctx.Session = &simulator.Session{UserSession: types.UserSession{Key: session, UserName: l.User(session)}, Registry: ctx.Session.Registry, Map: l.reg}
	description := strings.ToLower(method[:1]) + strings.TrimSuffix(method[1:], "_Task")
	return l.task(ctx, this, method, description, func(*simulator.Context) (types.AnyType, *failure) {
		return nil, &failure{fault: fault, text: text}
	})
}

// WaitTask waits until a task has ended, at most the given time.
func (l *Lab) WaitTask(ref types.ManagedObjectReference, limit time.Duration) {
	ctx := l.newContext()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		t, ok := l.reg.Get(ref).(*simulator.Task)
		if !ok {
			return
		}
		var state types.TaskInfoState
		l.reg.WithLock(ctx, t, func() { state = t.Info.State })
		if state == types.TaskInfoStateSuccess || state == types.TaskInfoStateError {
			return
		}
	}
}

// inner waits for a task of the library that a task of the lab uses, and takes it out of the inventory.
func (l *Lab) inner(ctx *simulator.Context, ref types.ManagedObjectReference) (types.AnyType, *failure) {
	t, ok := l.reg.Get(ref).(*simulator.Task)
	if !ok {
		return nil, failf(&types.SystemError{}, "task %s is gone", ref.Value)
	}
	t.Wait()
	l.reg.Remove(ctx, ref)
	if t.Info.Error != nil {
		return nil, wrapped(t.Info.Error.Fault)
	}
	return t.Info.Result, nil
}

// nextVersion numbers changes and tasks; it never repeats.
func (l *Lab) nextVersion() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now().UnixMicro(); now > l.version {
		l.version = now
	} else {
		l.version++
	}
	return l.version
}
