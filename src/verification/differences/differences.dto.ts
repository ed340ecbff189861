import { ApiPropertyOptional, IntersectionType } from '@nestjs/swagger';
import { IsIn, IsOptional } from 'class-validator';
import { IsIdentifier } from '../../api/name-param.js';
import { PageQuery } from '../../api/page.js';

export const DIFFERENCE_KINDS = ['missing', 'extra', 'different', 'local-write'] as const;
export const VALUE_FORMS = ['text', 'hash'] as const;
export type ValueForm = (typeof VALUE_FORMS)[number];

/** Which of the differences of a verification, and how their values are shown. */
export class ExportQuery {
  @ApiPropertyOptional({ example: 'public', description: 'Only of tables of that schema.' })
  @IsOptional()
  @IsIdentifier()
  schema?: string;

  @ApiPropertyOptional({ example: 'orders', description: 'Only of tables of that name.' })
  @IsOptional()
  @IsIdentifier()
  table?: string;

  @ApiPropertyOptional({ enum: DIFFERENCE_KINDS, description: 'Only of that kind.' })
  @IsOptional()
  @IsIn(DIFFERENCE_KINDS)
  kind?: (typeof DIFFERENCE_KINDS)[number];

  @ApiPropertyOptional({
    enum: VALUE_FORMS,
    default: 'text',
    description:
      '`hash`: in place of every value of a row, also of keys, a keyed hash (`hash:` and 32 hexadecimal digits). Equal ' +
      'values of one installation have equal hashes; without its secret key nobody can try which value it was. NULL ' +
      'stays null.',
  })
  @IsOptional()
  @IsIn(VALUE_FORMS)
  values?: ValueForm;
}

/** The same, page by page. */
export class DifferencesQuery extends IntersectionType(PageQuery, ExportQuery) {}
