import { applyDecorators, type Type } from '@nestjs/common';
import { ApiExtraModels, ApiOkResponse, ApiPropertyOptional, getSchemaPath } from '@nestjs/swagger';
import { Type as Convert } from 'class-transformer';
import { IsInt, IsOptional, IsString, Max, MaxLength, Min } from 'class-validator';
import { invalidInput } from '../problems/validation.pipe.js';

/** Query string of every list; extend it to add filters. */
export class PageQuery {
  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: 200, default: 50, description: 'Items per page.' })
  @IsOptional()
  @Convert(() => Number)
  @IsInt()
  @Min(1)
  @Max(200)
  limit: number = 50;

  @ApiPropertyOptional({ description: '`nextCursor` of the page before; opaque.' })
  @IsOptional()
  @IsString()
  @MaxLength(1000)
  cursor?: string;
}

/** One page of a list; `nextCursor` is null on the last. */
export interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

/** What the next page starts after: the sort key of the last item. */
export type CursorKey = (string | number)[];

/** The page's items from `limit + 1` rows in list order, and the cursor if a further row was there. */
export function pageOf<T>(rows: T[], limit: number, keyOf: (item: T) => CursorKey): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { items, nextCursor: more ? Buffer.from(JSON.stringify(keyOf(last))).toString('base64url') : null };
}

const TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,6})?(Z|[+-]\d\d(:?\d\d)?)?$/;

/** What PostgreSQL would refuse to read as such is refused here, as the caller's mistake. */
const PARTS = {
  text: (part: string) => !part.includes('\0'),
  integer: (part: string) => /^\d{1,18}$/.test(part),
  uuid: (part: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(part),
  time: (part: string) => {
    const [, day, time] = TIME.exec(part) ?? [];
    const moment = new Date(`${day}T${time}Z`);
    return !Number.isNaN(moment.getTime()) && moment.toISOString().startsWith(`${day}T${time}`);
  },
};

/**
 * The key in a cursor made by `pageOf`, as text; null without a cursor. Anything else is the caller's mistake: `parts`
 * says what each must look like.
 */
export function cursorKey(cursor: string | undefined, ...parts: (keyof typeof PARTS)[]): string[] | null {
  if (cursor === undefined) return null;
  const key = parse(cursor);
  const texts = Array.isArray(key) && key.every(isPart) ? key.map(String) : [];
  const sound = texts.length === parts.length && parts.every((part, index) => PARTS[part](texts[index]!));
  if (!sound) throw invalidInput([{ pointer: 'query:cursor', detail: 'is not a cursor from an earlier page' }]);
  return texts;
}

function isPart(part: unknown): part is string | number {
  return typeof part === 'string' || typeof part === 'number';
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return null;
  }
}

/** Documents a 200 answer of `{ items, nextCursor }`, and shows one of these items. */
export function ApiPage<T extends object>(item: Type<T>, ...items: T[]): MethodDecorator & ClassDecorator {
  return applyDecorators(
    ApiExtraModels(item),
    ApiOkResponse({
      ...(items.length > 0 ? { example: { items, nextCursor: null } } : {}),
      schema: {
        type: 'object',
        required: ['items', 'nextCursor'],
        properties: {
          items: { type: 'array', items: { $ref: getSchemaPath(item) } },
          nextCursor: { type: 'string', nullable: true, description: 'Give it as `cursor` to get the next page.' },
        },
      },
    }),
  );
}
