package lab

import (
	"path"
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// sees tells whether a user may read an object; a vCenter leaves what an account may not read out of its views. A host's
// graphicsInfo names such a VM nevertheless, as it does in a vCenter.
func (l *Lab) sees(user string, ref types.ManagedObjectReference) bool {
	if ref.Type != "VirtualMachine" {
		return true
	}
	for _, u := range l.cfg.Site.Users {
		if u.Name != user {
			continue
		}
		for _, pattern := range u.BlindTo {
			if hidden, err := path.Match(pattern, l.Name(ref)); err == nil && hidden {
				return false
			}
		}
	}
	return true
}

// CreateContainerView implements ViewManager.CreateContainerView; a view is what the account could read when it was made.
func (o *methodsObject) CreateContainerView(ctx *simulator.Context, req *types.CreateContainerView) soap.HasFault {
	body := o.lab.reg.ViewManager().CreateContainerView(ctx, req)
	made, ok := body.(*methods.CreateContainerViewBody)
	if !ok || made.Res == nil || ctx.Session == nil {
		return body
	}
	if view, ok := ctx.Session.Get(made.Res.Returnval).(*simulator.ContainerView); ok {
		view.View = slices.DeleteFunc(view.View, func(ref types.ManagedObjectReference) bool { return !o.lab.sees(ctx.Session.UserName, ref) })
	}
	return body
}
