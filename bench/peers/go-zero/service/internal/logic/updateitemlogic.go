package logic

import (
	"context"

	"github.com/zeromicro/go-zero/core/logx"

	"rowkeep/bench/peers/go-zero/internal/svc"
	"rowkeep/bench/peers/go-zero/pb"
)

// UpdateItemLogic answers one request.
type UpdateItemLogic struct {
	ctx    context.Context
	svcCtx *svc.ServiceContext
	logx.Logger
}

// NewUpdateItemLogic is called by the generated server.
func NewUpdateItemLogic(ctx context.Context, svcCtx *svc.ServiceContext) *UpdateItemLogic {
	return &UpdateItemLogic{ctx: ctx, svcCtx: svcCtx, Logger: logx.WithContext(ctx)}
}

// UpdateItem sets a row's name through the generated, cached model, as its documentation does: read, change, update.
func (l *UpdateItemLogic) UpdateItem(in *pb.UpdateItemRequest) (*pb.Item, error) {
	item, err := l.svcCtx.Items.FindOne(l.ctx, in.Item.Id)
	if err != nil {
		return nil, err
	}
	item.Name = in.Item.Name
	if err := l.svcCtx.Items.Update(l.ctx, item); err != nil {
		return nil, err
	}
	return message(item), nil
}
