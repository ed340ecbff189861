import { onlyHere } from '../changes/plan.dto.js';
import type { CreatedTokenDto, CreateTokenDto, TokenDto } from './tokens.dto.js';

export const CREATE_TOKEN = { name: 'deploy-pipeline', scope: 'operate' } satisfies CreateTokenDto;

const NEW_TOKEN: TokenDto = {
  ...{ id: '4be0643f-1d98-473b-97cd-ca98a65347dd', ...CREATE_TOKEN, createdAt: '2026-07-01T12:00:00.318Z' },
  ...{ expiresAt: null, revokedAt: null, lastUsedAt: null },
};

/** The token itself is left out: what looks like one would be taken for one. */
export const CREATED_TOKEN: CreatedTokenDto = { ...NEW_TOKEN, token: 'lst_…' };

export const CREATE_PLAN = onlyHere('Creates a token of scope operate and answers it, once.');

/** By name. */
export const TOKENS: TokenDto[] = [
  {
    ...{ ...NEW_TOKEN, id: 'f2c1a7b0-8a53-4a83-9c0e-5b1d7e6f3a24', name: 'dashboards', scope: 'read' },
    ...{ createdAt: '2026-05-04T08:15:09.640Z', expiresAt: '2027-01-01T00:00:00.000Z' },
    ...{ revokedAt: '2026-06-30T17:02:44.191Z', lastUsedAt: '2026-06-30T17:01:58.377Z' },
  },
  { ...NEW_TOKEN, lastUsedAt: '2026-07-01T12:04:02.640Z' },
];
