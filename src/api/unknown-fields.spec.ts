import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import { expect, it } from '@jest/globals';
import { kindsOf } from './unknown-fields.js';

it('takes the key of a custom parameter for no query and no body, whatever its random part begins with', () => {
  const custom = ['4a0f3b2c1d5e6f7a8b9c0', '3e0f3b2c1d5e6f7a8b9c0', '400000000000000000000'];
  expect(kindsOf(custom.map((uid) => `${uid}__customRouteArgs__:1`))).toEqual(new Set());
  expect(kindsOf(['5:0', '4:1', `${custom[1]}__customRouteArgs__:2`])).toEqual(
    new Set([RouteParamtypes.PARAM, RouteParamtypes.QUERY]),
  );
});
